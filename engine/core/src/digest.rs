//! SHA-256 values, salts and event ids: fixed-size bytes written as lower-case hexadecimal.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A SHA-256 value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

/// Random bytes that prevent guessing a payload from its hash after the payload was forgotten.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

impl Hash {
    /// Previous hash of a log's first header.
    pub const ZERO: Hash = Hash([0; 32]);

    /// SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(Sha256::digest(bytes).into())
    }

    /// SHA-256 of the salt followed by these bytes.
    pub fn salted(salt: Salt, bytes: &[u8]) -> Hash {
        Hash(Sha256::new().chain_update(salt.0).chain_update(bytes).finalize().into())
    }

    /// Parses exactly 64 lower-case hexadecimal digits.
    pub fn from_hex(text: &[u8]) -> Option<Hash> {
        unhex(text).map(Hash)
    }
}

impl Hash {
    /// Whether both are the same, in a time that does not depend on where they differ.
    pub fn is_same(&self, other: &Hash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Salt {
    /// Placeholder for a removed salt.
    pub const FORGOTTEN: Salt = Salt([0; 16]);

    /// Parses exactly 32 lower-case hexadecimal digits.
    pub fn from_hex(text: &[u8]) -> Option<Salt> {
        unhex(text).map(Salt)
    }
}

/// An id of 16 bytes that sorts by time: 48 bits of milliseconds since 1970, then 80 random bits.
pub fn time_ordered_id(unix_ms: u64, random: [u8; 10]) -> String {
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    hex(&bytes)
}

/// Whether this text has the form of an id: 32 lower-case hexadecimal digits.
pub fn is_id(text: &str) -> bool {
    unhex::<16>(text.as_bytes()).is_some()
}

/// Lower-case hexadecimal digits of these bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| digits(*byte)).map(char::from).collect()
}

fn digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// Value of each digit. All other bytes, including upper-case digits, have the high bits set, so that a value has only
/// one spelling.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [0xFF; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    nibbles
};

fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0_u8; N];
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    // Collects the bits of wrong digits, which are checked once at the end: a branch per digit would cost more than the
    // conversion.
    let mut wrong = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (NIBBLES[usize::from(*high)], NIBBLES[usize::from(*low)]);
        wrong |= high | low;
        *byte = (high << 4) | low;
    }
    (wrong < 16).then_some(bytes)
}

/// Writes digits without an allocation.
fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.chunks(32) {
        let mut text = [0_u8; 64];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(chunk) {
            *pair = digits(*byte);
        }
        f.write_str(std::str::from_utf8(&text[..2 * chunk.len()]).map_err(|_| fmt::Error)?)?;
    }
    Ok(())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

// Does not print the salt, which is as confidential as its payload.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Hash::from_hex(text.as_bytes()).ok_or_else(|| de::Error::custom("expected 64 lower-case hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_has_one_spelling() {
        let hash = Hash::of(b"abc");
        let text = hash.to_string();
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Hash::from_hex(text.as_bytes()), Some(hash));
        assert_eq!(Hash::from_hex(text.to_uppercase().as_bytes()), None);
        assert_eq!(Hash::from_hex(&text.as_bytes()[1..]), None);
    }

    #[test]
    fn ids_sort_by_time() {
        let earlier = time_ordered_id(1_000, [255; 10]);
        let later = time_ordered_id(1_001, [0; 10]);
        assert!(earlier < later && is_id(&earlier));
        assert!(!is_id("0123") && !is_id(&earlier.to_uppercase()));
    }
}
