//! The keys in force, and who a request is from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use engine_core::access::{ApiKey, Caller, KEY_PREFIX, KeyRing, Unaccepted, key_hash};
use engine_core::configuration::{Access, AccessKey};
use engine_core::digest::Hash;
use engine_core::request::Refused;
use engine_core::wire::{CreateToken, ErrorCode, RevokeToken, TokenCreated, TokenSource, TokenView, Tokens};
use engine_log::Clock;
use engine_log::storage::Storage;
use engine_projection::ClientAddress;
use jiff::Timestamp;
use service::AUDIT;

use super::accounts::Accounts;
use super::attempts::Attempts;
use super::files;
use super::records::Outcome;
use super::session::Session;
use super::stored::{STORED_KEYS_MAX, StoredKey, StoredKeys};
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::refusal::{Refusal, internal};

/// Time between two looks at the files with keys. A volume of a Secret replaces a symbolic link.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two writes of when keys were last used.
const LAST_USED_INTERVAL: Duration = Duration::from_secs(60);

/// What a request presents.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Credentials<'a> {
    /// Nothing.
    None,
    /// A key of an engine, or what begins like one.
    Key(&'a str),
    /// A bearer token of another form.
    Other,
    /// More than one header, or one of another scheme.
    Unreadable,
}

impl<'a> Credentials<'a> {
    /// The credentials in the values of the header `Authorization`.
    pub(crate) fn of(mut values: impl Iterator<Item = &'a [u8]>) -> Credentials<'a> {
        let (first, second) = (values.next(), values.next());
        let Some(first) = first else { return Credentials::None };
        let text = std::str::from_utf8(first).ok().filter(|_| second.is_none());
        let scheme_and_rest = text.and_then(|text| text.split_once(' '));
        match scheme_and_rest {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => {
                let token = rest.trim_matches(' ');
                if token.starts_with(KEY_PREFIX) { Credentials::Key(token) } else { Credentials::Other }
            }
            _ => Credentials::Unreadable,
        }
    }
}

/// Why nobody was recognised.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unrecognised {
    Nothing,
    Wrong(Unaccepted),
}

/// What the admin port demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AdminToken {
    None,
    Hash(Hash),
    /// A file is configured and cannot be read. Nothing is accepted.
    Unreadable,
}

/// What is in force. Replaced as a whole.
#[derive(Debug)]
struct InForce {
    configuration: Access,
    ring: KeyRing,
    admin: AdminToken,
    attempts: Attempts,
    faults: Vec<String>,
}

/// The keys in force, the limits and the records of one engine.
#[derive(Debug)]
pub(crate) struct AccessControl {
    in_force: RwLock<InForce>,
    stored: Mutex<StoredKeys>,
    last_used: Mutex<BTreeMap<String, Timestamp>>,
    clock: Clock,
    accounts: Arc<Accounts>,
}

impl AccessControl {
    /// Reads all keys.
    pub(crate) fn new(
        configuration: Access,
        storage: Arc<dyn Storage>,
        clock: Clock,
        metrics: &Metrics,
    ) -> AccessControl {
        let rate = configuration.rate();
        let in_force = InForce {
            ring: KeyRing::default(),
            admin: AdminToken::None,
            attempts: Attempts::new(configuration.failed_attempts_per_minute()),
            faults: Vec::new(),
            configuration,
        };
        let control = AccessControl {
            in_force: RwLock::new(in_force),
            stored: Mutex::new(StoredKeys::open(storage)),
            last_used: Mutex::default(),
            clock,
            accounts: Arc::new(Accounts::new(metrics)),
        };
        control.accounts.set_rate(rate);
        control.read_again();
        control
    }

    /// Access control of an engine whose only client is this process.
    pub(crate) fn open(engine: &Engine) -> AccessControl {
        let storage = Arc::clone(&engine.log_handles.context.storage);
        AccessControl::new(Access::default(), storage, Clock::System, &engine.metrics)
    }

    /// Applies a changed configuration.
    pub(crate) fn set(&self, configuration: &Access) {
        {
            let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
            self.accounts.set_rate(configuration.rate());
            if in_force.attempts.per_minute() != configuration.failed_attempts_per_minute() {
                in_force.attempts = Attempts::new(configuration.failed_attempts_per_minute());
            }
            in_force.configuration = configuration.clone();
        }
        self.read_again();
    }

    /// Looks at the files until the process ends, and writes when keys were last used.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut written = Instant::now();
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            tokio::task::block_in_place(|| {
                self.read_again();
                if written.elapsed() >= LAST_USED_INTERVAL {
                    written = Instant::now();
                    self.write_last_used();
                }
            });
        }
    }

    /// Reads every file with a key. Faults are logged once.
    fn read_again(&self) {
        let configuration = {
            let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
            in_force.configuration.clone()
        };
        let (mut records, mut faults) = (Vec::new(), Vec::new());
        for key in configuration.keys() {
            let (found, wrong) = files::records(&key);
            records.extend(found);
            faults.extend(wrong);
        }
        let admin =
            match configuration.admin_token_file.as_deref().map(|path| files::hash_in(Path::new(path))) {
                None => AdminToken::None,
                Some(Ok(hash)) => AdminToken::Hash(hash),
                Some(Err(fault)) => {
                    faults.push(format!("access.adminTokenFile cannot be read: {fault}"));
                    AdminToken::Unreadable
                }
            };
        let stored = self.stored();
        records.extend(stored.all().iter().map(StoredKey::record));
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        for fault in faults.iter().filter(|fault| !in_force.faults.contains(fault)) {
            tracing::error!(fault, "what it has is not accepted");
        }
        // The configuration may have been replaced meanwhile; then its files are read once more.
        if in_force.configuration == configuration {
            (in_force.ring, in_force.admin, in_force.faults) = (KeyRing::new(records), admin, faults);
        }
    }

    fn stored(&self) -> MutexGuard<'_, StoredKeys> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Recognises who a request is from.
    ///
    /// # Errors
    /// The request needs a key and has none, or has one that is not accepted.
    pub(crate) fn recognise(&self, credentials: Credentials<'_>) -> Result<Session, Refusal> {
        let found = self.caller_of(credentials, Timestamp::now());
        let caller = found.map_err(|why| self.unrecognised(credentials, why))?;
        Ok(Session::of(caller, Some(Arc::clone(&self.accounts))))
    }

    pub(super) fn caller_of(
        &self,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<Arc<Caller>, Unrecognised> {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let is_open = in_force.configuration.anonymous();
        let caller = match credentials {
            Credentials::Key(text) => {
                let record = in_force.ring.find(text, now).map_err(Unrecognised::Wrong)?;
                Arc::clone(&record.caller)
            }
            // Tokens of an identity provider would be checked here: their claims make a caller. Until then other
            // credentials are those of a proxy in front, which are no reason to refuse what anybody may do.
            Credentials::None | Credentials::Other | Credentials::Unreadable if is_open => {
                return Ok(Arc::new(Caller::anonymous()));
            }
            Credentials::None => return Err(Unrecognised::Nothing),
            Credentials::Other | Credentials::Unreadable => {
                return Err(Unrecognised::Wrong(Unaccepted::Foreign));
            }
        };
        drop(in_force);
        let mut last_used = self.last_used.lock().unwrap_or_else(PoisonError::into_inner);
        match last_used.get_mut(&caller.name) {
            Some(last) => *last = now,
            None => drop(last_used.insert(caller.name.clone(), now)),
        }
        Ok(caller)
    }

    /// The error for a request of nobody, after it was counted and recorded.
    fn unrecognised(&self, credentials: Credentials<'_>, why: Unrecognised) -> Refusal {
        let outcome = |reason| Outcome { caller: "", scope: None, project: "", reason };
        let Unrecognised::Wrong(why) = why else {
            // Clients that discover how to authorise begin with such a request, so it is no attempt.
            self.accounts.records.count("no_credentials");
            return Refusal::new(ErrorCode::Unauthenticated, "the request has no key")
                .hint("send the header Authorization: Bearer and a key; docs/guide/access.md");
        };
        let id = match credentials {
            Credentials::Key(text) => ApiKey::parse(text).ok(),
            _ => None,
        };
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let counted = in_force.attempts.count(ClientAddress::current(), id.as_ref().map(ApiKey::id));
        drop(in_force);
        if let Err(seconds) = counted {
            // No line: the lines of the attempts before say enough, and an attacker must not fill the log.
            self.accounts.records.count("too_many_attempts");
            let rule = "too many requests with a key that is not accepted";
            return Refusal::new(ErrorCode::RateLimited, rule)
                .hint("correct the key, and repeat it after Retry-After seconds")
                .retry_after(seconds);
        }
        self.accounts.records.denied(&outcome(why.label()));
        let hint = match why {
            Unaccepted::Miscopied => "the key was not copied completely or correctly: its checksum is wrong",
            Unaccepted::Foreign => "a key of an engine begins with mek_; send it as Authorization: Bearer",
            // Whether there has been such a key is nobody's business.
            Unaccepted::Unknown | Unaccepted::Expired => "use a key that is in force; docs/guide/access.md",
        };
        Refusal::new(ErrorCode::Unauthenticated, "the key of the request is not accepted").hint(hint)
    }

    /// Checks a request to the admin port.
    ///
    /// # Errors
    /// The port demands a token, and the request has none or another one.
    pub(crate) fn check_admin(&self, token: Option<&str>) -> Result<(), Refusal> {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let is_right = match in_force.admin {
            AdminToken::None => true,
            AdminToken::Unreadable => false,
            AdminToken::Hash(hash) => token.is_some_and(|token| hash.is_same(&key_hash(token))),
        };
        if is_right {
            return Ok(());
        }
        let reason = if token.is_some() { "unknown_key" } else { "no_credentials" };
        if let Err(seconds) = in_force.attempts.count(ClientAddress::current(), None) {
            self.accounts.records.count("too_many_attempts");
            return Err(Refusal::new(
                ErrorCode::RateLimited,
                "too many requests without the token of this port",
            )
            .retry_after(seconds));
        }
        self.accounts.records.denied(&Outcome { caller: "", scope: None, project: "", reason });
        Err(Refusal::new(ErrorCode::Unauthenticated, "the admin port demands a token, and this is not it")
            .hint("send the header Authorization: Bearer and the token of access.adminTokenFile"))
    }

    /// Every key as it may be shown, by name.
    pub(crate) fn tokens(&self) -> Tokens {
        let last_used = self.last_used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let configured = in_force.configuration.keys().into_iter().map(|key| shown(&key));
        let configured: Vec<TokenView> = configured.collect();
        drop(in_force);
        let stored = self.stored();
        let mut tokens: Vec<TokenView> =
            configured.into_iter().chain(stored.all().iter().map(StoredKey::view)).collect();
        for token in &mut tokens {
            token.last_used = last_used.get(&token.name).copied().max(token.last_used);
        }
        tokens.sort_by(|one, other| one.name.cmp(&other.name));
        Tokens { tokens }
    }

    /// Makes a key. It is in force when this returns.
    ///
    /// # Errors
    /// The request breaks a rule, the name is taken, or the volume does not take the key.
    pub(crate) fn create(&self, request: CreateToken) -> Result<TokenCreated, Refusal> {
        let now = Timestamp::now();
        check(&request, now)?;
        let is_configured = self.tokens().tokens.iter().any(|token| token.name == request.name);
        let key = ApiKey::of_random(&self.clock.bytes());
        let added = StoredKey::new(&key, request, now);
        let mut stored = self.stored();
        if is_configured || stored.all().iter().any(|known| known.name == added.name) {
            return Err(refused(
                "there is a key with this name already: revoke it first, or use another name",
            ));
        }
        if stored.all().len() >= STORED_KEYS_MAX {
            return Err(refused(format!("the engine has {STORED_KEYS_MAX} keys already: revoke some")));
        }
        let token = added.view();
        let (name, id) = (token.name.clone(), key.id().to_owned());
        let keys = stored.all().iter().cloned().chain([added]).collect();
        stored.set(keys).map_err(|fault| not_stored(&fault))?;
        drop(stored);
        self.read_again();
        tracing::info!(target: AUDIT, action = "token create", name, id, "a key was made");
        Ok(TokenCreated { key: key.secret_text().to_owned(), token })
    }

    /// Revokes a key of the engine. It is not accepted any more when this returns.
    ///
    /// # Errors
    /// The engine has made no key with this name, or the volume does not take the change.
    pub(crate) fn revoke(&self, request: &RevokeToken) -> Result<Tokens, Refusal> {
        let mut stored = self.stored();
        let left: Vec<StoredKey> =
            stored.all().iter().filter(|key| key.name != request.name).cloned().collect();
        if left.len() == stored.all().len() {
            return Err(Refusal::new(
                ErrorCode::InvalidArgument,
                "the engine has made no key with this name",
            )
            .hint("a key in files is revoked where its files come from"));
        }
        stored.set(left).map_err(|fault| not_stored(&fault))?;
        drop(stored);
        self.read_again();
        let name = request.name.as_str();
        tracing::info!(target: AUDIT, action = "token revoke", name, "a key was revoked");
        Ok(self.tokens())
    }

    /// Writes when keys were last used, if that has changed. A failure is only logged.
    fn write_last_used(&self) {
        let last_used = self.last_used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut stored = self.stored();
        let keys: Vec<StoredKey> = stored.all().to_vec();
        let used = |key: &StoredKey| key.clone().used(last_used.get(&key.name).copied());
        let updated: Vec<StoredKey> = keys.iter().map(used).collect();
        if updated != keys
            && let Err(fault) = stored.set(updated)
        {
            tracing::warn!(%fault, "when keys were last used could not be written");
        }
    }
}

fn shown(key: &AccessKey) -> TokenView {
    TokenView {
        name: key.name.clone(),
        id: None,
        source: TokenSource::Configuration,
        scopes: key.scopes.clone(),
        projects: key.projects.clone(),
        created: None,
        expires: key.expiry().ok().flatten(),
        last_used: None,
    }
}

fn check(request: &CreateToken, now: Timestamp) -> Result<(), Refusal> {
    if !AccessKey::is_name(&request.name) {
        return Err(refused("name must be 1 to 63 of a-z, 0-9 and -"));
    }
    if request.scopes.is_empty() {
        return Err(refused("scopes must be at least one of read, write and admin"));
    }
    if let Some(fault) = AccessKey::projects_fault(&request.projects) {
        return Err(refused(format!("projects {fault}")));
    }
    if request.expires.is_some_and(|expires| expires <= now) {
        return Err(refused("expires is in the past"));
    }
    Ok(())
}

fn refused(rule: impl Into<String>) -> Refusal {
    Refused::Body(rule.into()).into()
}

fn not_stored(fault: &std::io::Error) -> Refusal {
    let _logged = internal(fault);
    Refusal::new(ErrorCode::StorageFailure, "the keys cannot be written to the volume")
        .hint("see the engine's log; nothing has changed")
}
