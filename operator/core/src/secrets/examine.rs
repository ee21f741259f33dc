//! Examines the Secrets of a spec: one finding for each reference.

use std::collections::BTreeMap;
use std::fmt;

use engine_core::{
    access::{key_hash, stored_hash},
    digest::Hash,
};
use jiff::{SignedDuration, Timestamp};

use super::{
    ages::Ages,
    fault::SecretFault,
    reference::{Purpose, Reference},
    strength::{Weakness, weakness},
};
use crate::tls::Unread;

/// A day.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// What stands before the SHA-256 of a key in the place of the key.
const HASH_MARK: &str = "sha256:";

/// A Secret as it was read.
pub enum Looked {
    /// It could not be read.
    Unread(Unread),
    /// There is no such Secret.
    Missing,
    /// Its entries.
    Found(BTreeMap<String, Vec<u8>>),
}

/// Shows no value: debug output ends up in logs.
impl fmt::Debug for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(unread) => f.debug_tuple("Unread").field(unread).finish(),
            Self::Missing => f.write_str("Missing"),
            Self::Found(entries) => f.debug_tuple("Found").field(&entries.keys()).finish(),
        }
    }
}

/// What is known about one reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The reference.
    pub reference: Reference,
    /// What is wrong with the entry, or why it could not be read.
    pub result: Result<(), Problem>,
    /// When the operator saw the value first.
    pub first_seen: Option<Timestamp>,
    /// When the value should have been replaced, at the latest.
    pub replace_before: Option<Timestamp>,
}

/// Why an entry is not known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The Secret could not be read.
    Unread(Unread),
    /// The entry is bad.
    Bad(SecretFault),
}

impl Finding {
    /// What is wrong with the entry.
    #[must_use]
    pub fn fault(&self) -> Option<&SecretFault> {
        match &self.result {
            Err(Problem::Bad(fault)) => Some(fault),
            Ok(()) | Err(Problem::Unread(_)) => None,
        }
    }

    /// Why the Secret could not be read.
    #[must_use]
    pub fn unread(&self) -> Option<&Unread> {
        match &self.result {
            Err(Problem::Unread(unread)) => Some(unread),
            Ok(()) | Err(Problem::Bad(_)) => None,
        }
    }
}

/// Examines the entries. `secrets` has every Secret that a reference names. A previous key that does not exist is no
/// finding.
#[must_use]
pub fn examine(
    references: &[Reference],
    secrets: &BTreeMap<String, Looked>,
    ages: Option<&Ages>,
    max_age_days: Option<i32>,
    now: Timestamp,
) -> Vec<Finding> {
    let entries: Vec<_> = references.iter().map(|one| (one, entry(one, secrets))).collect();
    let mut findings = Vec::new();
    for (reference, value) in &entries {
        let is_absent =
            matches!(value, Err(Problem::Bad(SecretFault::Missing(_) | SecretFault::KeyMissing(..))));
        // The operator makes its own token in a moment. Nothing that needs it is rolled out before.
        let may_be_absent = reference.purpose == Purpose::PreviousClient || reference.is_owned();
        if may_be_absent && is_absent {
            continue;
        }
        let seen = value.as_ref().ok().and_then(|text| ages?.first_seen(text.as_bytes()));
        let is_aged = matches!(reference.purpose, Purpose::Client | Purpose::Administrator | Purpose::Reader);
        let limit = max_age_days.filter(|_| is_aged);
        let replace_before = replace_before(reference, seen, limit);
        let result = value.clone().and_then(|text| {
            let shared = || shared(reference, text, &entries);
            let dated = || dated(reference, seen, limit, now);
            match bad_text(reference, text).or_else(shared).or_else(dated) {
                Some(fault) => Err(Problem::Bad(fault)),
                None => Ok(()),
            }
        });
        findings.push(Finding { reference: (*reference).clone(), result, first_seen: seen, replace_before });
    }
    findings
}

/// The values of all entries that could be read, as [`examine`] compares them.
pub fn values<'a>(
    references: &'a [Reference],
    secrets: &'a BTreeMap<String, Looked>,
) -> impl Iterator<Item = &'a [u8]> {
    references.iter().filter_map(|one| entry(one, secrets).ok().map(str::as_bytes))
}

/// The token that the administration port demands, if it can be used.
#[must_use]
pub fn admin_token<'a>(references: &[Reference], secrets: &'a BTreeMap<String, Looked>) -> Option<&'a str> {
    let reference = references.iter().find(|one| one.purpose == Purpose::Administrator)?;
    entry(reference, secrets).ok().filter(|text| bad_text(reference, text).is_none())
}

/// Maximum size of a value, bytes. The longest keys of services have some hundreds.
pub const VALUE_BYTES_MAX: usize = 4 << 10;

/// The text of an entry without the white space around it, which the engine ignores too.
fn entry<'a>(reference: &Reference, secrets: &'a BTreeMap<String, Looked>) -> Result<&'a str, Problem> {
    let missing = || Problem::Bad(SecretFault::Missing(reference.secret.clone()));
    let entries = match secrets.get(&reference.secret).ok_or_else(missing)? {
        Looked::Missing => return Err(missing()),
        Looked::Unread(unread) => return Err(Problem::Unread(unread.clone())),
        Looked::Found(entries) => entries,
    };
    let key_missing = || SecretFault::KeyMissing(reference.secret.clone(), reference.key.clone());
    let bytes = entries.get(&reference.key).ok_or_else(|| Problem::Bad(key_missing()))?;
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(Problem::Bad(SecretFault::Malformed));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::Bad(SecretFault::Malformed))?.trim();
    // A document has lines and spaces. In a word they are what somebody copied with it.
    let may_be_spaced = reference.purpose == Purpose::ServiceDocument;
    let is_plain = |byte: u8| byte.is_ascii_graphic() || may_be_spaced && byte.is_ascii_whitespace();
    match text {
        "" => Err(Problem::Bad(SecretFault::Empty)),
        text if text.bytes().all(is_plain) => Ok(text),
        _ => Err(Problem::Bad(SecretFault::Malformed)),
    }
}

/// What is wrong with a text by itself. The hash of a key shows nothing of the key.
fn bad_text(reference: &Reference, text: &str) -> Option<SecretFault> {
    if !reference.is_ours() {
        return None;
    }
    if reference.purpose == Purpose::KeyEncryptionKey && !is_encryption_key(text) {
        return Some(SecretFault::Malformed);
    }
    if hash_in(text).is_some() {
        let is_presented = matches!(reference.purpose, Purpose::Administrator | Purpose::Reader);
        return is_presented.then_some(SecretFault::HashOfToken);
    }
    let weak = weakness(text).map(|weakness| match weakness {
        Weakness::Short => SecretFault::TooShort,
        Weakness::WellKnown => SecretFault::WellKnown,
        Weakness::Regular => SecretFault::Guessable,
    });
    if reference.purpose == Purpose::KeyEncryptionKey {
        return weak;
    }
    weak.or_else(|| stored_hash(text).err().map(SecretFault::NoKey))
}

/// Whether a text has the form of 32 bytes: 64 hexadecimal digits, or base64.
fn is_encryption_key(text: &str) -> bool {
    let is_hexadecimal = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let in_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    is_hexadecimal
        || (text.len() == 44 && text.strip_suffix('=').is_some_and(|text| text.bytes().all(in_base64)))
}

fn hash_in(text: &str) -> Option<Hash> {
    text.strip_prefix(HASH_MARK).and_then(|digits| Hash::from_hex(digits.as_bytes()))
}

/// What two texts of the same key have in common: one may be the hash of the other.
fn identity(text: &str) -> Hash {
    hash_in(text).unwrap_or_else(|| key_hash(text))
}

/// Whether the value is used elsewhere too. Two services outside of the engine may have the same key, and a rotation
/// may begin with a previous key that equals the present one.
fn shared(
    reference: &Reference,
    text: &str,
    entries: &[(&Reference, Result<&str, Problem>)],
) -> Option<SecretFault> {
    let own = identity(text);
    let is_other = |other: &Reference| {
        let same_client = reference.client.is_some() && reference.client == other.client;
        let is_critical = reference.is_ours() || other.is_ours();
        // An engine that was restored may continue the archive that it was restored from.
        let is_same_archive = [reference, other].iter().all(|one| one.purpose == Purpose::KeyEncryptionKey);
        let is_critical = is_critical && !is_same_archive;
        other.field != reference.field && !same_client && is_critical
    };
    let mut others = entries.iter().filter(|(other, _)| is_other(other));
    let (other, _) = others.find(|(_, value)| value.as_ref().is_ok_and(|value| identity(value) == own))?;
    let administrator = [reference.purpose, other.purpose].contains(&Purpose::Administrator);
    let field = format!("spec.{}", other.field);
    Some(if administrator { SecretFault::Administrator(field) } else { SecretFault::Shared(field) })
}

fn expiry(reference: &Reference) -> Option<Timestamp> {
    reference.expires.as_ref()?.parse().ok()
}

fn dated(
    reference: &Reference,
    seen: Option<Timestamp>,
    limit: Option<i32>,
    now: Timestamp,
) -> Option<SecretFault> {
    if expiry(reference).is_some_and(|expires| expires <= now) {
        return reference.expires.clone().map(SecretFault::Expired);
    }
    let (max_days, age_days) = (limit?, age_days(seen?, now));
    (age_days >= i64::from(max_days)).then_some(SecretFault::TooOld { age_days, max_days })
}

/// Whole days since a value was seen first.
#[must_use]
pub fn age_days(seen: Timestamp, now: Timestamp) -> i64 {
    (now.duration_since(seen).as_secs() / DAY.as_secs()).max(0)
}

/// The earlier one of the expiry and the end of the longest age.
fn replace_before(reference: &Reference, seen: Option<Timestamp>, limit: Option<i32>) -> Option<Timestamp> {
    let end_of_age = || seen?.checked_add(DAY * limit?).ok();
    [expiry(reference), end_of_age()].into_iter().flatten().min()
}
