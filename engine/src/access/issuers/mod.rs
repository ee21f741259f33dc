//! Tokens of issuers: fetches the keys that verify them, and remembers what was verified.
//!
//! ```text
//! fetch      one attempt to get the keys of an issuer
//! issuer     an issuer with its keys
//! signature  verifies signatures
//! verified   tokens that were verified
//! ```

mod fetch;
mod issuer;
mod signature;
#[cfg(test)]
mod tests;
mod verified;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use engine_core::access::Caller;
use engine_core::configuration::AccessIssuer;
use engine_core::digest::Hash;
use engine_core::issuer::{Accepted, Keeping, RETRY_INTERVAL, Token, TokenFault, judge};
use engine_core::wire::IssuerHealth;
use jiff::Timestamp;
use prometheus::{IntCounterVec, IntGaugeVec};
use service::Family;

use crate::metrics::Metrics;
use fetch::FETCH_TIMEOUT;
use issuer::Issuer;
use verified::Verified;

/// Time between two looks at which keys have to be fetched.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The issuers of the configuration, with their keys.
#[derive(Debug)]
pub(crate) struct Issuers {
    list: RwLock<Vec<Arc<Issuer>>>,
    verified: Verified,
    /// Times of the fetches count from here.
    started: Instant,
    refreshes: Family<IntCounterVec>,
    ages: Family<IntGaugeVec>,
    held: Family<IntGaugeVec>,
}

impl Issuers {
    pub(super) fn new(rules: &[AccessIssuer], metrics: &Metrics) -> Issuers {
        let issuers = Issuers {
            list: RwLock::default(),
            verified: Verified::new(),
            started: Instant::now(),
            refreshes: metrics.issuer_refreshes.clone(),
            ages: metrics.issuer_keys_age.clone(),
            held: metrics.issuer_keys.clone(),
        };
        issuers.set(rules);
        issuers
    }

    fn list(&self) -> Vec<Arc<Issuer>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Applies a changed configuration. What has not changed keeps its keys.
    pub(super) fn set(&self, rules: &[AccessIssuer]) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        if list.iter().map(|issuer| &issuer.rules).eq(rules) {
            return;
        }
        let known = |rules: &AccessIssuer| list.iter().find(|issuer| issuer.rules == *rules).cloned();
        let next = rules.iter().map(|rules| known(rules).unwrap_or_else(|| Arc::new(Issuer::new(rules))));
        *list = next.collect();
        drop(list);
        self.ages.reset();
        self.held.reset();
        self.verified.forget();
    }

    /// Whether no issuer is configured.
    pub(super) fn is_empty(&self) -> bool {
        self.list.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// URLs of all issuers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.list().iter().map(|issuer| issuer.rules.issuer.clone()).collect()
    }

    /// The caller of a token.
    ///
    /// # Errors
    /// The token is not accepted.
    pub(super) fn caller_of(&self, text: &str, now: Timestamp) -> Result<Arc<Caller>, TokenFault> {
        // The length is looked at before anything is computed from the text.
        if text.len() > engine_core::issuer::TOKEN_BYTES_MAX {
            return Err(TokenFault::Malformed);
        }
        let (hash, epoch) = (Hash::of(text.as_bytes()), self.verified.epoch());
        if let Some(caller) = self.verified.find(&hash, now) {
            return Ok(caller);
        }
        let token = Token::read(text)?;
        let issuer = self.of(&token)?;
        issuer.verify(&token)?;
        let Accepted { caller, until } = judge(token.claims(), &issuer.rules, now)?;
        let caller = Arc::new(caller);
        self.verified.keep(hash, (Arc::clone(&caller), until), epoch);
        Ok(caller)
    }

    fn of(&self, token: &Token<'_>) -> Result<Arc<Issuer>, TokenFault> {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        let is_of = |issuer: &&Arc<Issuer>| token.issuer() == Some(issuer.rules.issuer.as_str());
        list.iter().find(is_of).cloned().ok_or(TokenFault::Issuer)
    }

    /// Fetches the keys of the issuer of a token again, because the token names one that is not known. Returns after a
    /// bounded time, also if nothing was fetched because that was done a moment ago.
    pub(super) async fn look_for_key(self: &Arc<Self>, text: &str) {
        let Some(issuer) = Token::read(text).ok().and_then(|token| self.of(&token).ok()) else { return };
        let this = Arc::clone(self);
        // In a task of its own: a client that closes its connection must not end it, or it could keep keys from being
        // fetched at all.
        let looked = tokio::spawn(async move { this.refresh(&issuer, Keeping::may_look_for_a_key).await });
        let _bounded = tokio::time::timeout(2 * FETCH_TIMEOUT, looked).await;
    }

    /// Fetches the keys of an issuer, unless another task has just done that.
    async fn refresh(&self, issuer: &Issuer, is_wanted: fn(&Keeping, Duration) -> bool) {
        let in_progress = issuer.fetching.try_lock().is_err();
        if !in_progress && !is_wanted(&issuer.keeping(), self.started.elapsed()) {
            return;
        }
        // Whoever comes during a fetch waits for its keys.
        let Ok(_alone) = tokio::time::timeout(FETCH_TIMEOUT, issuer.fetching.lock()).await else { return };
        let now = self.started.elapsed();
        if !is_wanted(&issuer.keeping(), now) {
            return;
        }
        issuer.tried(now);
        let fetched = fetch::keys(&issuer.rules).await;
        let outcome = if fetched.is_ok() { "received" } else { "failed" };
        self.refreshes.with_label_values(&[&issuer.rules.issuer, outcome]).inc();
        if issuer.put(fetched, now) {
            self.verified.forget();
        }
    }

    /// Fetches the keys of every issuer before they are stale, until the process ends.
    pub(super) async fn follow(self: Arc<Self>) {
        loop {
            for issuer in self.list() {
                let now = self.started.elapsed();
                if issuer.drop_dead_keys(now) {
                    self.verified.forget();
                }
                let name = [issuer.rules.issuer.as_str()];
                self.ages.with_label_values(&name).set(issuer.age_seconds(now));
                let keys = i64::try_from(issuer.health().keys).unwrap_or(i64::MAX);
                self.held.with_label_values(&name).set(keys);
                if issuer.keeping().is_due(now) {
                    let this = Arc::clone(&self);
                    // An issuer that hangs must not delay the others.
                    tokio::spawn(async move { this.refresh(&issuer, Keeping::is_due).await });
                }
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// What is known about every issuer.
    pub(crate) fn health(&self) -> Vec<IssuerHealth> {
        self.list().iter().map(|issuer| issuer.health()).collect()
    }
}

const _: () = assert!(FETCH_TIMEOUT.as_secs() < RETRY_INTERVAL.as_secs(), "attempts must not overlap");
