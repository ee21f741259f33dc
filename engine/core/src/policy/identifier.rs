//! Handles personal data in identifiers, such as the key of an item or the name of an entity. Redaction would make
//! different identifiers equal, so personal data is replaced by a pseudonym token: equal texts get equal tokens,
//! different texts get different tokens, and without the secret key the text cannot be derived from its token.

use std::fmt;
use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::detector::Kind;
use super::finding::Blocked;
use crate::digest::hex;

/// Length of the keyed hash in a token, bytes. With 2^32 names, the probability that two of them get the same token is
/// below one in 65,000.
const TOKEN_HASH_BYTES: usize = 10;
/// Length of the fingerprint of a key, a keyed hash, bytes.
const CHECK_BYTES: usize = 8;

/// How personal data in identifiers is handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Identifiers {
    /// It is stored as a token; queries are rewritten to the same token.
    #[default]
    Pseudonymise,
    /// The write is refused.
    Refuse,
    /// It is stored unchanged.
    Keep,
}

/// Secret key from which the tokens of a log are derived.
#[derive(Clone, PartialEq, Eq)]
pub struct PseudonymKey([u8; PseudonymKey::BYTES]);

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PseudonymKey").field(&self.check()).finish()
    }
}

impl PseudonymKey {
    /// Length of a key, bytes.
    pub const BYTES: usize = 32;

    /// Creates a key from random bytes.
    pub fn new(bytes: [u8; PseudonymKey::BYTES]) -> PseudonymKey {
        PseudonymKey(bytes)
    }

    /// Parses [`PseudonymKey::secret_text`].
    pub fn parse(text: &str) -> Option<PseudonymKey> {
        let digits = text.as_bytes();
        let mut bytes = [0; PseudonymKey::BYTES];
        if digits.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(PseudonymKey(bytes))
    }

    /// The key in its file format, 64 hex digits.
    pub fn secret_text(&self) -> String {
        hex(&self.0)
    }

    /// Fingerprint of the key, which reveals nothing else about it: 16 hex digits.
    pub fn check(&self) -> String {
        hex(&self.hash(&[b"check"])[..CHECK_BYTES])
    }

    /// The token that replaces the personal data `found`, of this kind. Depends on its exact bytes.
    pub(super) fn token(&self, kind: Kind, found: &str) -> String {
        let name = kind.placeholder().trim_end_matches(']');
        let hash = self.hash(&[name.as_bytes(), found.as_bytes()]);
        format!("{name}:{}]", hex(&hash[..TOKEN_HASH_BYTES]))
    }

    fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length, says RFC 2104");
        for part in parts {
            // Parts are separated by NUL. Only the last part can contain a NUL itself, so different parts give
            // different input.
            mac.update(part);
            mac.update(&[0]);
        }
        mac.finalize().into_bytes().into()
    }
}

/// How an identifier is structured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One text.
    Whole,
    /// One segment of a namespace, which contains no full stops.
    Segment,
    /// Segments separated by slashes. Each segment is replaced on its own, so that the stored path of a file still
    /// starts with that of its directory.
    Path,
}

/// Why an identifier cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentifierError {
    /// The policy refuses the identifier.
    Blocked(Blocked),
    /// The identifier contains personal data, and the key for its token is missing.
    NoKey,
}

impl From<Blocked> for IdentifierError {
    fn from(blocked: Blocked) -> IdentifierError {
        IdentifierError::Blocked(blocked)
    }
}

/// Ranges of the pseudonym tokens in a text.
pub fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    let starts = text.match_indices('[').map(|(at, _)| at);
    starts.filter_map(|start| token_at(&text[start..]).map(|len| start..start + len))
}

/// Whether a text contains a pseudonym token.
pub fn has_token(text: &str) -> bool {
    tokens(text).next().is_some()
}

/// Length of the token at the start of a text, if there is one.
fn token_at(text: &str) -> Option<usize> {
    const HEX_DIGITS: usize = 2 * TOKEN_HASH_BYTES;
    let kinds = Kind::ALL.iter().map(|kind| kind.placeholder().trim_end_matches(']'));
    let name =
        kinds.filter(|name| text.starts_with(name)).find(|name| text[name.len()..].starts_with(':'))?;
    let rest = &text.as_bytes()[name.len() + 1..];
    let hash = rest.get(..HEX_DIGITS)?;
    let is_hash = hash.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_hash && rest.get(HEX_DIGITS) == Some(&b']')).then_some(name.len() + 1 + HEX_DIGITS + 1)
}

/// Hides tokens from the detectors: only the kind remains, padded to the same length. Otherwise their digits might be
/// detected as personal data, and a stored name would change when it is sent again.
pub(super) fn masked(text: &str) -> Option<String> {
    if !text.contains(':') || !has_token(text) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for token in tokens(text) {
        let colon = token.start + text[token.clone()].find(':')?;
        out.push_str(&text[at..colon]);
        out.extend(std::iter::repeat_n(' ', token.end - 1 - colon));
        at = token.end - 1;
    }
    out.push_str(&text[at..]);
    Some(out)
}
