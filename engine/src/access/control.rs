//! The keys in force, and who a request is from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, header};
use engine_core::access::{
    ApiKey, Caller, CallerKind, KEY_RANDOM_BYTES, KeyRing, Projects, Scope, Unaccepted, key_hash,
};
use engine_core::configuration::{Access, AccessCertificate};
use engine_core::digest::Hash;
use engine_core::issuer::TokenFault;
use engine_core::wire::{DIGEST_PATH, ErrorCode, LINES_PATH, ROOT_PATH};
use engine_log::Clock;
use engine_log::storage::Storage;
use engine_projection::ClientAddress;
use jiff::Timestamp;
use service::secret_file::Exposed;

use super::accounts::Accounts;
use super::attempts::Attempts;
use super::credentials::Credentials;
use super::files;
use super::issuers::Issuers;
use super::records::Outcome;
use super::session::Session;
use super::stored::{StoredKey, StoredKeys};
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::token_command::{bearer, read_token};

/// Time between two looks at the files with keys. A volume of a Secret replaces a symbolic link.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Time between two writes of when keys were last used.
const LAST_USED_INTERVAL: Duration = Duration::from_secs(60);

/// Why nobody was recognised.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unrecognised {
    Nothing,
    Wrong(Unaccepted),
    Token(TokenFault),
    Certificate,
}

/// When a client should ask again whose issuer has not answered yet, seconds.
const ISSUER_RETRY_SECONDS: u32 = 5;

/// What the admin port demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AdminToken {
    None,
    /// The token, and during a rotation the one before.
    Hashes(Hash, Option<Hash>),
    /// A file is configured and cannot be read. Nothing is accepted.
    Unreadable,
}

impl AdminToken {
    /// Whether this is the token.
    fn is(self, token: Option<&str>) -> bool {
        let AdminToken::Hashes(hash, previous) = self else { return false };
        token.map(key_hash).is_some_and(|sent| {
            // Both are compared, so that the time does not tell which one it was.
            hash.is_same(&sent) | previous.is_some_and(|previous| previous.is_same(&sent))
        })
    }
}

/// What is in force. Replaced as a whole.
#[derive(Debug)]
struct InForce {
    configuration: Access,
    ring: KeyRing,
    admin: AdminToken,
    /// The token of engines that follow this one.
    reader: AdminToken,
    attempts: Attempts,
    faults: Vec<String>,
}

/// The keys in force, the limits and the records of one engine.
#[derive(Debug)]
pub(crate) struct AccessControl {
    in_force: RwLock<InForce>,
    stored: Mutex<StoredKeys>,
    /// When each key was last used. Tokens have too many callers for that.
    last_used: Mutex<LastUsed>,
    clock: Clock,
    accounts: Arc<Accounts>,
    issuers: Arc<Issuers>,
    /// What is done with a file of a key that somebody else can read or change.
    exposed: Exposed,
}

/// When keys were last used, by what they are and by name.
pub(super) type LastUsed = BTreeMap<(CallerKind, String), Timestamp>;

impl AccessControl {
    /// Reads all keys.
    pub(crate) fn new(
        (configuration, exposed): (Access, Exposed),
        storage: Arc<dyn Storage>,
        clock: Clock,
        metrics: &Metrics,
    ) -> AccessControl {
        let issuers = Arc::new(Issuers::new(&configuration.issuers(), metrics));
        let rate = configuration.rate();
        let in_force = InForce {
            ring: KeyRing::default(),
            admin: AdminToken::None,
            reader: AdminToken::None,
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
            issuers,
            exposed,
        };
        control.accounts.set_rate(rate);
        control.read_again();
        control
    }

    /// Access control of an engine whose only client is this process.
    pub(crate) fn open(engine: &Engine) -> AccessControl {
        let storage = Arc::clone(&engine.log_handles.context.storage);
        AccessControl::new((Access::default(), Exposed::Reported), storage, Clock::System, &engine.metrics)
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
        self.issuers.set(&configuration.issuers());
        self.read_again();
    }

    /// Looks at the files until the process ends, and writes when keys were last used.
    pub(crate) async fn follow(self: Arc<Self>) {
        tokio::spawn(Arc::clone(&self.issuers).follow());
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
    pub(super) fn read_again(&self) {
        let configuration = self.configuration();
        let (mut records, mut faults) = (Vec::new(), Vec::new());
        for key in configuration.keys() {
            let (found, wrong) = files::records(&key, self.exposed);
            records.extend(found);
            faults.extend(wrong);
        }
        let admin = self.token_of("adminTokenFile", configuration.admin_token_file.as_ref(), &mut faults);
        let reader = self.token_of("readerTokenFile", configuration.reader_token_file.as_ref(), &mut faults);
        let stored = self.stored();
        records.extend(stored.all().iter().map(StoredKey::record));
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        for fault in faults.iter().filter(|fault| !in_force.faults.contains(fault)) {
            tracing::error!(fault, "a file with a key is not as it has to be");
        }
        // The configuration may have been replaced meanwhile; then its files are read once more.
        if in_force.configuration == configuration {
            (in_force.ring, in_force.faults) = (KeyRing::new(records), faults);
            (in_force.admin, in_force.reader) = (admin, reader);
        }
    }

    /// Reads a token of the admin port from the file that a key of the configuration names.
    fn token_of(&self, key: &str, path: Option<&String>, faults: &mut Vec<String>) -> AdminToken {
        let Some(path) = path else { return AdminToken::None };
        match files::hash_in(Path::new(path), self.exposed) {
            Ok((hash, exposed)) => {
                faults.extend(exposed.map(|fault| format!("access.{key} is used, although {fault}")));
                let (previous, fault) =
                    files::optional_hash(Some(format!("{path}.previous").as_str()), self.exposed);
                faults.extend(fault);
                AdminToken::Hashes(hash, previous)
            }
            Err(fault) => {
                faults.push(format!("access.{key} cannot be read: {fault}"));
                AdminToken::Unreadable
            }
        }
    }

    pub(super) fn configuration(&self) -> Access {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).configuration.clone()
    }

    pub(super) fn last_used(&self) -> LastUsed {
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn random_bytes(&self) -> [u8; KEY_RANDOM_BYTES] {
        self.clock.bytes()
    }

    /// The issuers of tokens.
    pub(crate) fn issuers(&self) -> &Arc<Issuers> {
        &self.issuers
    }

    /// The word before the name of a scope in tokens, if all issuers use the same.
    pub(crate) fn scope_prefix(&self) -> Option<String> {
        let issuers = self.configuration().issuers();
        let mut prefixes = issuers.iter().filter(|issuer| issuer.scopes.is_empty());
        let first = prefixes.next()?.scope_prefix().to_owned();
        prefixes.all(|issuer| issuer.scope_prefix() == first).then_some(first)
    }

    pub(super) fn stored(&self) -> MutexGuard<'_, StoredKeys> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Recognises who a request is from. For a token that names an unknown key, the keys of its issuer are fetched once
    /// more, in bounded time.
    ///
    /// # Errors
    /// The request needs credentials and has none, or has some that are not accepted.
    pub(crate) async fn recognise(&self, credentials: &Credentials<'_>) -> Result<Session, Refusal> {
        let mut found = self.caller_of(credentials, Timestamp::now());
        if let (Credentials::Token(text), Err(Unrecognised::Token(TokenFault::Key | TokenFault::NoKeys))) =
            (credentials, &found)
        {
            self.issuers.look_for_key(text).await;
            found = self.caller_of(credentials, Timestamp::now());
        }
        let caller = found.map_err(|why| self.unrecognised(credentials, why))?;
        Ok(Session::of(caller, Some(Arc::clone(&self.accounts))))
    }

    /// Recognises another engine that compares answers, by the token of readers. That token opens every line of the log
    /// already, so that whoever has it may read everything; it opens nothing that writes.
    pub(crate) fn recognise_comparison(&self, authorization: &HeaderValue) -> Option<Session> {
        let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let is_known =
            scheme.eq_ignore_ascii_case("bearer") && in_force.reader.is(Some(token.trim_matches(' ')));
        // No key can have this name, which has a space.
        let caller = || Caller {
            name: "comparing engine".to_owned(),
            kind: CallerKind::Key,
            scopes: vec![Scope::Read],
            projects: Projects::All,
        };
        is_known.then(|| Session::of(Arc::new(caller()), Some(Arc::clone(&self.accounts))))
    }

    /// What this engine presents when it asks a canary questions of its own: nothing where everybody may read,
    /// otherwise the token of readers, which the canary has too.
    ///
    /// # Errors
    /// There is no such token.
    pub(crate) fn own_headers(&self) -> Result<HeaderMap, String> {
        let configuration = self.configuration();
        let mut headers = HeaderMap::new();
        if configuration.anonymous() {
            return Ok(headers);
        }
        let path = configuration.reader_token_file.as_deref();
        let path = path.ok_or("callers need keys, and access.readerTokenFile is not configured")?;
        let token = read_token(Path::new(path)).map_err(|fault| format!("{fault:#}"))?;
        if ApiKey::parse(&token).is_err() {
            return Err("the file access.readerTokenFile has no token, but perhaps its hash".to_owned());
        }
        headers.insert(header::AUTHORIZATION, bearer(&token).map_err(|fault| format!("{fault:#}"))?);
        Ok(headers)
    }

    pub(super) fn caller_of(
        &self,
        credentials: &Credentials<'_>,
        now: Timestamp,
    ) -> Result<Arc<Caller>, Unrecognised> {
        if let Credentials::Token(text) = credentials
            && !self.issuers.is_empty()
        {
            return self.issuers.caller_of(text, now).map_err(Unrecognised::Token);
        }
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let is_open = in_force.configuration.anonymous();
        let caller = match credentials {
            Credentials::Key(text) => {
                let record = in_force.ring.find(text, now).map_err(Unrecognised::Wrong)?;
                Arc::clone(&record.caller)
            }
            Credentials::Certificate(certificate) => {
                let certificates = in_force.configuration.certificates.as_deref().unwrap_or_default();
                // A connection can be older than the end of its certificate.
                let is_valid = now <= certificate.not_after;
                let known = certificates.iter().find(|known| is_valid && known.is_of(certificate));
                return match known {
                    Some(known) => Ok(caller_of_certificate(known)),
                    None if is_open => Ok(Arc::new(Caller::anonymous())),
                    None => Err(Unrecognised::Certificate),
                };
            }
            // Other credentials are those of a proxy in front, which are no reason to refuse what anybody may do.
            Credentials::None | Credentials::Token(_) | Credentials::Unreadable if is_open => {
                return Ok(Arc::new(Caller::anonymous()));
            }
            Credentials::None => return Err(Unrecognised::Nothing),
            Credentials::Token(_) | Credentials::Unreadable => {
                return Err(Unrecognised::Wrong(Unaccepted::Foreign));
            }
        };
        drop(in_force);
        let mut last_used = self.last_used.lock().unwrap_or_else(PoisonError::into_inner);
        last_used.insert((caller.kind, caller.name.clone()), now);
        Ok(caller)
    }

    /// The error for a request of nobody, after it was counted and recorded.
    fn unrecognised(&self, credentials: &Credentials<'_>, why: Unrecognised) -> Refusal {
        let outcome = |reason| Outcome { caller: "", scope: None, project: "", reason };
        let (reason, what, hint) = match why {
            Unrecognised::Nothing => {
                // Clients that discover how to authorise begin with such a request, so it is no attempt.
                self.accounts.records.count("no_credentials");
                return Refusal::new(ErrorCode::Unauthenticated, "the request has no key")
                    .hint("send the header Authorization: Bearer and a key; docs/guide/access.md");
            }
            Unrecognised::Token(why @ TokenFault::NoKeys) => {
                // Nobody knows whether the token is right, so it is no attempt with a wrong one.
                self.accounts.records.count(why.label());
                let rule = "the keys of the issuer of the token have not arrived yet";
                return Refusal::new(ErrorCode::IssuerUnavailable, rule)
                    .hint(why.hint())
                    .retry_after(ISSUER_RETRY_SECONDS);
            }
            Unrecognised::Wrong(why) => (why.label(), "key", hint(why)),
            Unrecognised::Token(why) => (why.label(), "token", why.hint()),
            Unrecognised::Certificate => {
                let hint = "access.certificates names no subject of this certificate; docs/guide/access.md";
                ("unknown_certificate", "certificate", hint)
            }
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
        self.accounts.records.denied(&outcome(reason));
        let rule = format!("the {what} of the request is not accepted");
        Refusal::new(ErrorCode::Unauthenticated, rule).hint(hint)
    }

    /// Checks a request to a path of the admin port.
    ///
    /// # Errors
    /// The path demands a token, and the request has none or another one, or nobody may use it.
    pub(crate) fn check_admin(&self, path: &str, token: Option<&str>) -> Result<(), Refusal> {
        let in_force = self.in_force.read().unwrap_or_else(PoisonError::into_inner);
        let (is_accepted, demanded) = match (path, in_force.reader) {
            // Who administers an engine need not read what is remembered. Where everybody may read, nothing is hidden.
            (LINES_PATH | DIGEST_PATH | ROOT_PATH, AdminToken::None)
                if !in_force.configuration.anonymous() =>
            {
                return Err(Refusal::new(ErrorCode::Forbidden, "no engine may follow this one").hint(
                    "name a file with a token for it as access.readerTokenFile; docs/guide/readers.md",
                ));
            }
            (LINES_PATH | DIGEST_PATH | ROOT_PATH, AdminToken::Hashes(..) | AdminToken::Unreadable) => {
                (in_force.reader.is(token), "access.readerTokenFile")
            }
            _ => (in_force.admin == AdminToken::None || in_force.admin.is(token), "access.adminTokenFile"),
        };
        if is_accepted {
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
            .hint(format!("send the header Authorization: Bearer and the token of {demanded}")))
    }
}

fn hint(why: Unaccepted) -> &'static str {
    match why {
        Unaccepted::Miscopied => "the key was not copied completely or correctly: its checksum is wrong",
        Unaccepted::Foreign => "a key of an engine begins with mek_; send it as Authorization: Bearer",
        // Whether there has been such a key is nobody's business.
        Unaccepted::Unknown | Unaccepted::Expired => "use a key that is in force; docs/guide/access.md",
    }
}

fn caller_of_certificate(known: &AccessCertificate) -> Arc<Caller> {
    Arc::new(Caller {
        name: known.name.clone(),
        kind: CallerKind::Certificate,
        scopes: known.scopes.clone(),
        projects: files::projects(&known.projects),
    })
}
