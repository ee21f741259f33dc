//! Event lines whose payload is stored somewhere else, as an archive has them: `"archived":true` stands in the place of
//! salt and payload.

use super::line::{FORGOTTEN, PAYLOAD, SALT};
use super::{CLOSE, HASH};
use crate::digest::{Hash, Salt};

const ARCHIVED: &[u8] = br#"","archived":true}"#;

/// The line without its salt and this payload; both lines without a line feed. `line` has been decoded before.
pub(crate) fn without(line: &[u8], payload: &str) -> Vec<u8> {
    let beside = SALT.len() + 32 + PAYLOAD.len() + payload.len() + "}".len();
    [&line[..line.len() - beside], ARCHIVED].concat()
}

/// The hash of an archived line, and the line up to the end of its hash.
pub(crate) fn parts(line: &[u8]) -> Option<(Hash, &[u8])> {
    let kept = line.strip_suffix(ARCHIVED)?;
    let (before, hash) = kept.split_at_checked(kept.len().checked_sub(64)?)?;
    before.ends_with(HASH.as_bytes()).then_some((Hash::from_hex(hash)?, kept))
}

/// Appends the line with its salt and payload.
pub(crate) fn whole(kept: &[u8], salt: Salt, payload: &[u8], out: &mut Vec<u8>) {
    let salt = salt.to_string();
    for part in [kept, SALT.as_bytes(), salt.as_bytes(), PAYLOAD.as_bytes(), payload, b"}"] {
        out.extend_from_slice(part);
    }
}

/// Appends the line as it is after the event `by` has forgotten its payload.
pub(crate) fn forgotten(kept: &[u8], by: &str, out: &mut Vec<u8>) {
    for part in [kept, FORGOTTEN.as_bytes(), by.as_bytes(), CLOSE.as_bytes()] {
        out.extend_from_slice(part);
    }
}
