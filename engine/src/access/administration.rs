//! Keys of the engine itself: they are listed, made and revoked by people.

use engine_core::access::{ApiKey, CallerKind};
use engine_core::configuration::AccessKey;
use engine_core::request::Refused;
use engine_core::wire::{CreateToken, ErrorCode, RevokeToken, TokenCreated, TokenSource, TokenView, Tokens};
use jiff::Timestamp;
use service::AUDIT;

use super::control::AccessControl;
use super::stored::{STORED_KEYS_MAX, StoredKey};
use crate::refusal::{Refusal, internal};

impl AccessControl {
    /// Every key as it may be shown, by name.
    pub(crate) fn tokens(&self) -> Tokens {
        let last_used = self.last_used();
        let configured = self.configuration().keys().into_iter().map(|key| shown(&key));
        let configured: Vec<TokenView> = configured.collect();
        let stored = self.stored();
        let mut tokens: Vec<TokenView> =
            configured.into_iter().chain(stored.all().iter().map(StoredKey::view)).collect();
        for token in &mut tokens {
            let kind = match token.source {
                TokenSource::Configuration => CallerKind::Key,
                TokenSource::Engine => CallerKind::StoredKey,
            };
            token.last_used = last_used.get(&(kind, token.name.clone())).copied().max(token.last_used);
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
        let key = ApiKey::of_random(&self.random_bytes());
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
    pub(super) fn write_last_used(&self) {
        let last_used = self.last_used();
        let mut stored = self.stored();
        let keys: Vec<StoredKey> = stored.all().to_vec();
        let used = |key: &StoredKey| {
            key.clone().used(last_used.get(&(CallerKind::StoredKey, key.name.clone())).copied())
        };
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
