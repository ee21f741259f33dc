//! The keys that an engine accepts, found by what a request presents.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{ApiKey, Caller, KeyForm};
use crate::digest::Hash;

/// A key that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Hash of the key.
    pub hash: Hash,
    /// Who presents it.
    pub caller: Arc<Caller>,
    /// When it stops being accepted.
    pub expires: Option<Timestamp>,
}

/// Why a key is not accepted. A client is told the same in all cases but the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unaccepted {
    /// It is a key that was not copied completely or correctly.
    Miscopied,
    /// It is no key of an engine at all.
    Foreign,
    /// No key of this engine has this hash.
    Unknown,
    /// It has expired.
    Expired,
}

impl Unaccepted {
    /// Label in metrics and records.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Unaccepted::Miscopied => "miscopied_key",
            Unaccepted::Foreign => "foreign_key",
            Unaccepted::Unknown => "unknown_key",
            Unaccepted::Expired => "expired_key",
        }
    }
}

/// First bytes of a hash, by which records are found. The time of a search may depend on them: they are a part of the
/// SHA-256 of a random secret, and knowing them helps nobody to find the secret or another one with the same hash.
type Index = [u8; 8];

/// The keys that are accepted.
#[derive(Debug, Default, Clone)]
pub struct KeyRing {
    records: BTreeMap<Index, Vec<KeyRecord>>,
}

impl KeyRing {
    /// Accepts these keys.
    #[must_use]
    pub fn new(records: impl IntoIterator<Item = KeyRecord>) -> KeyRing {
        let mut ring = KeyRing::default();
        for record in records {
            ring.records.entry(index(&record.hash)).or_default().push(record);
        }
        ring
    }

    /// Whether no key is accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The record of a key that a request presents.
    ///
    /// # Errors
    /// The key is not accepted.
    pub fn find(&self, presented: &str, now: Timestamp) -> Result<&KeyRecord, Unaccepted> {
        let key = ApiKey::parse(presented).map_err(|form| match form {
            KeyForm::Miscopied => Unaccepted::Miscopied,
            KeyForm::Key | KeyForm::Foreign => Unaccepted::Foreign,
        })?;
        let hash = key.hash();
        let known = self.records.get(&index(&hash)).map(Vec::as_slice).unwrap_or_default();
        let record = known.iter().find(|record| record.hash.is_same(&hash));
        let record = record.ok_or(Unaccepted::Unknown)?;
        if record.expires.is_some_and(|expires| expires <= now) {
            Err(Unaccepted::Expired)
        } else {
            Ok(record)
        }
    }
}

fn index(hash: &Hash) -> Index {
    let mut index = Index::default();
    index.copy_from_slice(&hash.0[..8]);
    index
}

#[cfg(test)]
mod tests {
    use super::super::KEY_RANDOM_BYTES;
    use super::*;

    fn key(byte: u8) -> ApiKey {
        ApiKey::of_random(&[byte; KEY_RANDOM_BYTES])
    }

    fn record(key: &ApiKey, expires: Option<&str>) -> KeyRecord {
        let expires = expires.map(|text| text.parse().unwrap());
        KeyRecord { hash: key.hash(), caller: Arc::new(Caller::anonymous()), expires }
    }

    #[test]
    fn only_a_known_key_that_has_not_expired_is_accepted() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let ring = KeyRing::new([
            record(&key(1), None),
            record(&key(2), Some("2026-01-01T00:00:01Z")),
            record(&key(3), Some("2026-01-01T00:00:00Z")),
        ]);
        let found = |text: &str| ring.find(text, now).map(|record| record.hash);
        assert_eq!(found(key(1).secret_text()), Ok(key(1).hash()));
        assert_eq!(found(key(2).secret_text()), Ok(key(2).hash()));
        assert_eq!(found(key(3).secret_text()), Err(Unaccepted::Expired));
        assert_eq!(found(key(4).secret_text()), Err(Unaccepted::Unknown));
        assert_eq!(found(&key(1).secret_text()[1..]), Err(Unaccepted::Foreign));
        assert_eq!(found(&format!("{}a", key(1).secret_text())), Err(Unaccepted::Miscopied));
        // The hash of a key, which its file may have, is no key.
        assert_eq!(found(&format!("sha256:{}", key(1).hash())), Err(Unaccepted::Foreign));
        assert!(KeyRing::default().is_empty() && !ring.is_empty());
    }
}
