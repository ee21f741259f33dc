//! An issuer with its keys.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use engine_core::configuration::AccessIssuer;
use engine_core::issuer::{Keeping, KeySet, Token, TokenFault};
use engine_core::wire::IssuerHealth;
use jiff::Timestamp;
use jsonwebtoken::DecodingKey;
use tokio::sync::Mutex;

use super::fetch::FetchFault;
use super::signature::{is_signed, verifying};

/// An issuer with its keys.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) rules: AccessIssuer,
    /// Held during a fetch, so that there is one at a time.
    pub(super) fetching: Mutex<()>,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<Arc<Keys>>,
    keeping: Keeping,
    received_at: Option<Timestamp>,
    /// Why the last fetch failed.
    fault: Option<String>,
}

#[derive(Debug)]
struct Keys {
    set: KeySet,
    /// The keys of the set, in its order.
    verifying: Vec<Option<DecodingKey>>,
}

impl Issuer {
    pub(super) fn new(rules: &AccessIssuer) -> Issuer {
        Issuer { rules: rules.clone(), fetching: Mutex::default(), state: RwLock::default() }
    }

    pub(super) fn keeping(&self) -> Keeping {
        self.state.read().unwrap_or_else(PoisonError::into_inner).keeping
    }

    /// Notes that an attempt begins.
    pub(super) fn tried(&self, now: Duration) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).keeping.tried = Some(now);
    }

    /// Notes how an attempt ended. Returns whether the keys have changed.
    pub(super) fn put(&self, fetched: Result<(KeySet, Duration), FetchFault>, now: Duration) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let fault = fetched.as_ref().err().map(ToString::to_string);
        if fault != state.fault {
            log_reachable(&self.rules.issuer, fault.as_deref(), state.keys.is_some());
        }
        state.fault = fault;
        let Ok((set, lifetime)) = fetched else { return false };
        state.keeping.received = Some((now, lifetime));
        state.received_at = Some(Timestamp::now());
        if state.keys.as_ref().is_some_and(|keys| keys.set == set) {
            return false;
        }
        log_keys(&self.rules.issuer, set.counts());
        let verifying = set.keys().iter().map(verifying).collect();
        state.keys = Some(Arc::new(Keys { set, verifying }));
        true
    }

    /// Drops keys that the issuer has not confirmed for too long. Returns whether there were some.
    pub(super) fn drop_dead_keys(&self, now: Duration) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.keys.is_none() || state.keeping.is_alive(now) {
            return false;
        }
        tracing::error!(
            issuer = self.rules.issuer,
            "the keys of an issuer are too old: its tokens are refused"
        );
        state.keys = None;
        true
    }

    /// Verifies the signature of a token.
    ///
    /// # Errors
    /// It is not signed by a key of the issuer with an accepted algorithm.
    pub(super) fn verify(&self, token: &Token<'_>) -> Result<(), TokenFault> {
        if !self.rules.algorithms().contains(&token.algorithm()) {
            return Err(TokenFault::Algorithm);
        }
        let keys = self.state.read().unwrap_or_else(PoisonError::into_inner).keys.clone();
        let keys = keys.ok_or(TokenFault::NoKeys)?;
        let place = keys.set.find(token)?;
        let key = keys.verifying.get(place).and_then(Option::as_ref).ok_or(TokenFault::Key)?;
        if is_signed(token, key) { Ok(()) } else { Err(TokenFault::Signature) }
    }

    /// Seconds since the keys were received; -1 if they never were.
    pub(super) fn age_seconds(&self, now: Duration) -> i64 {
        let received = self.keeping().received;
        received.map_or(-1, |(at, _)| now.saturating_sub(at).as_secs().try_into().unwrap_or(i64::MAX))
    }

    pub(super) fn health(&self) -> IssuerHealth {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        IssuerHealth {
            issuer: self.rules.issuer.clone(),
            keys: state.keys.as_ref().map_or(0, |keys| keys.set.counts().0),
            received_at: state.received_at,
            fault: state.fault.clone(),
        }
    }
}

fn log_reachable(issuer: &str, fault: Option<&str>, has_keys: bool) {
    match fault {
        Some(fault) => {
            tracing::error!(issuer, fault, has_keys, "the keys of an issuer cannot be fetched");
        }
        None => tracing::info!(issuer, "the keys of an issuer can be fetched again"),
    }
}

fn log_keys(issuer: &str, (keys, ignored): (usize, usize)) {
    if keys == 0 {
        tracing::error!(issuer, ignored, "an issuer has no key that can be used: its tokens are refused");
    } else {
        tracing::info!(issuer, keys, ignored, "the keys of an issuer are in force");
    }
}
