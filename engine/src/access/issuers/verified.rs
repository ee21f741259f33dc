//! Tokens that were verified, so that a client that sends the same token again pays for one hash and no signature.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_core::access::Caller;
use engine_core::digest::Hash;
use jiff::Timestamp;
use moka::sync::Cache;

/// Maximum number of tokens. Each has a hash and the projects of its caller: some kilobytes at most.
const TOKENS_MAX: u64 = 4_096;

/// Tokens that were verified, by their SHA-256.
#[derive(Debug)]
pub(super) struct Verified {
    tokens: Cache<[u8; 32], Entry>,
    /// Changes with the keys and the configuration. What was verified before does not count after that.
    epoch: AtomicU64,
}

#[derive(Debug, Clone)]
struct Entry {
    caller: Arc<Caller>,
    until: Timestamp,
    epoch: u64,
}

impl Verified {
    pub(super) fn new() -> Verified {
        Verified { tokens: Cache::new(TOKENS_MAX), epoch: AtomicU64::new(0) }
    }

    /// The present epoch, which is read before a token is verified.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Begins an epoch.
    pub(super) fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.tokens.invalidate_all();
    }

    pub(super) fn find(&self, hash: &Hash, now: Timestamp) -> Option<Arc<Caller>> {
        let entry = self.tokens.get(&hash.0)?;
        (entry.epoch == self.epoch() && now < entry.until).then_some(entry.caller)
    }

    /// Keeps a token that was verified in an epoch.
    pub(super) fn keep(&self, hash: Hash, (caller, until): (Arc<Caller>, Timestamp), epoch: u64) {
        self.tokens.insert(hash.0, Entry { caller, until, epoch });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_verified_ends_with_the_token_and_with_the_epoch() {
        let verified = Verified::new();
        let at = |second| Timestamp::from_second(second).unwrap();
        let (hash, caller) = (Hash::of(b"a"), Arc::new(Caller::anonymous()));
        let before = verified.epoch();
        verified.keep(hash, (Arc::clone(&caller), at(100)), before);
        assert!(verified.find(&hash, at(99)).is_some());
        assert!(verified.find(&hash, at(100)).is_none() && verified.find(&Hash::of(b"b"), at(99)).is_none());
        verified.forget();
        assert!(verified.find(&hash, at(99)).is_none());
        // Verified with keys that were replaced meanwhile.
        verified.keep(hash, (caller, at(100)), before);
        assert!(verified.find(&hash, at(99)).is_none());
    }
}
