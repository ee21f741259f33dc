//! Since when each value is known. A Secret has no trustworthy time of its last change, so the operator remembers when
//! it saw a value first. It keeps no value and no hash of one, but an HMAC under a key of its own: without the key,
//! nobody can test a guess.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use engine_core::digest::hex;

/// Length of the key, bytes: the output of the hash.
pub const AGES_KEY_BYTES: usize = 32;
/// Maximum number of remembered values: twice as many as a spec can have, so that values that come back keep their age.
const REMEMBERED_MAX: usize = 288;

/// When each value was seen first.
#[derive(Clone, PartialEq, Eq)]
pub struct Ages {
    key: [u8; AGES_KEY_BYTES],
    seen: BTreeMap<String, Timestamp>,
}

/// Shows neither the key nor a code: debug output ends up in logs.
impl fmt::Debug for Ages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ages").field("remembered", &self.seen.len()).finish_non_exhaustive()
    }
}

impl Ages {
    /// Nothing was seen yet. `key` is random.
    #[must_use]
    pub fn new(key: [u8; AGES_KEY_BYTES]) -> Self {
        Self { key, seen: BTreeMap::new() }
    }

    /// Reads what [`Ages::key`] and [`Ages::text`] have written; `None` if somebody has damaged it.
    #[must_use]
    pub fn read(key: &[u8], text: &[u8]) -> Option<Self> {
        Some(Self { key: key.try_into().ok()?, seen: serde_json::from_slice(text).ok()? })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The times as a JSON object.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(&self.seen).expect("texts and times are JSON")
    }

    fn code(&self, value: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(value);
        hex(&mac.finalize().into_bytes())
    }

    /// When a value was seen first.
    #[must_use]
    pub fn first_seen(&self, value: &[u8]) -> Option<Timestamp> {
        self.seen.get(&self.code(value)).copied()
    }

    /// Remembers these values. A value that is known keeps its time. If there are too many, the oldest of the values
    /// that are not among these are forgotten.
    pub fn remember<'a>(&mut self, values: impl Iterator<Item = &'a [u8]>, now: Timestamp) {
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let mut present = Vec::new();
        for value in values {
            let code = self.code(value);
            self.seen.entry(code.clone()).or_insert(now);
            present.push(code);
        }
        while self.seen.len() > REMEMBERED_MAX {
            let others = self.seen.iter().filter(|(code, _)| !present.contains(code));
            let oldest = others.min_by_key(|(_, seen)| **seen).map(|(code, _)| code.clone());
            let Some(oldest) = oldest else { return };
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_value_keeps_its_first_time_and_no_text_shows_it() {
        let mut ages = Ages::new([7; AGES_KEY_BYTES]);
        assert_eq!(ages.first_seen(b"one"), None);
        ages.remember([b"one".as_slice()].into_iter(), at(100));
        ages.remember([b"one".as_slice(), b"two"].into_iter(), at(200));
        assert_eq!((ages.first_seen(b"one"), ages.first_seen(b"two")), (Some(at(100)), Some(at(200))));
        let read = Ages::read(ages.key(), ages.text().as_bytes()).unwrap();
        assert_eq!(read, ages);
        let other = Ages::read(&[8; AGES_KEY_BYTES], ages.text().as_bytes()).unwrap();
        assert_eq!(other.first_seen(b"one"), None, "the codes mean nothing without the key");
        let plain = hex(&<Sha256 as sha2::Digest>::digest(b"one"));
        assert!(!ages.text().contains("one") && !ages.text().contains(&plain));
        assert_eq!(format!("{ages:?}"), "Ages { remembered: 2, .. }");
        assert!(Ages::read(&[7; 31], b"{}").is_none() && Ages::read(&[7; 32], b"[").is_none());
    }

    #[test]
    fn present_values_are_never_forgotten() {
        let mut ages = Ages::new([7; AGES_KEY_BYTES]);
        ages.remember([b"kept".as_slice()].into_iter(), at(1));
        for second in 2..1_000_i64 {
            let value = second.to_be_bytes();
            ages.remember([b"kept".as_slice(), &value].into_iter(), at(second));
        }
        assert_eq!(ages.first_seen(b"kept"), Some(at(1)));
        assert_eq!(ages.seen.len(), REMEMBERED_MAX);
        assert_eq!(ages.first_seen(&2_i64.to_be_bytes()), None);
    }
}
