//! The format of keys: `mek_`, eight characters that identify the key, `_`, 256 random bits, and a checksum.
//!
//! The checksum tells a key that was copied wrongly from a secret of another product, without a look at any stored key,
//! and lets scanners for secrets find keys with few false alarms. It protects nothing.
//!
//! Keys are stored as SHA-256. A slow hash protects secrets that people choose, because those can be guessed. Nobody
//! can guess 256 random bits, so a fast hash protects them as well, and every request can be checked.

use std::fmt;

use crate::digest::Hash;

/// Beginning of every key.
pub const KEY_PREFIX: &str = "mek_";
/// Random bytes that a key is made from: the identifier, then the secret.
pub const KEY_RANDOM_BYTES: usize = ID_BYTES + SECRET_BYTES;
/// Length of a key, in characters.
pub const KEY_CHARS: usize = KEY_PREFIX.len() + ID_CHARS + 1 + SECRET_CHARS + CHECK_CHARS;

const ID_BYTES: usize = 5;
const ID_CHARS: usize = 8;
const SECRET_BYTES: usize = 32;
const SECRET_CHARS: usize = 52;
/// Thirty bits: one in a billion wrong copies is not noticed before the key is looked up.
const CHECK_CHARS: usize = 6;
/// Base32 of RFC 4648 in small letters: no character is special in a shell, a URL or a header.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Prefix of a hash in the place of a key.
const HASH_PREFIX: &str = "sha256:";

/// What a text is that was presented as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// A key, whose identifier and checksum fit.
    Key,
    /// It begins like a key, but was not copied completely or correctly.
    Miscopied,
    /// Something else, such as a secret of another product.
    Foreign,
}

/// A key. Its text is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// Only the identifier, because debug output ends up in logs.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl ApiKey {
    /// Makes a key from random bytes.
    #[must_use]
    pub fn of_random(bytes: &[u8; KEY_RANDOM_BYTES]) -> ApiKey {
        let (id, secret) = bytes.split_at(ID_BYTES);
        let mut text = format!("{KEY_PREFIX}{}_{}", base32(id), base32(secret));
        text.push_str(&checksum(&text));
        ApiKey(text)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// The text is not a key.
    pub fn parse(text: &str) -> Result<ApiKey, KeyForm> {
        match form(text) {
            KeyForm::Key => Ok(ApiKey(text.to_owned())),
            other => Err(other),
        }
    }

    /// The part that identifies the key and is not secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0[KEY_PREFIX.len()..KEY_PREFIX.len() + ID_CHARS]
    }

    /// The text, for the person who asked for the key. It must not be logged or stored.
    #[must_use]
    pub fn secret_text(&self) -> &str {
        &self.0
    }

    /// The hash that is stored.
    #[must_use]
    pub fn hash(&self) -> Hash {
        key_hash(&self.0)
    }
}

/// What a text is.
fn form(text: &str) -> KeyForm {
    let Some(rest) = text.strip_prefix(KEY_PREFIX) else { return KeyForm::Foreign };
    let bytes = rest.as_bytes();
    let is_letter = |byte: &u8| ALPHABET.contains(byte);
    let fits = text.len() == KEY_CHARS
        && bytes[ID_CHARS] == b'_'
        && bytes.iter().enumerate().all(|(place, byte)| place == ID_CHARS || is_letter(byte));
    if !fits {
        return KeyForm::Miscopied;
    }
    let (body, check) = text.split_at(KEY_CHARS - CHECK_CHARS);
    if checksum(body) == check { KeyForm::Key } else { KeyForm::Miscopied }
}

/// The hash of a key's text.
#[must_use]
pub fn key_hash(text: &str) -> Hash {
    Hash::of(text.as_bytes())
}

/// Whether the content of a file with a key is the hash of one, which is no secret.
#[must_use]
pub fn is_hash(content: &str) -> bool {
    content.starts_with(HASH_PREFIX)
}

/// Reads the content of a file with a key: the key, or `sha256:` and its hash in 64 hex digits, on one line.
///
/// # Errors
/// It is neither; the text says what it is instead, and has no part of the content.
pub fn stored_hash(content: &str) -> Result<Hash, &'static str> {
    let line = content.trim_end_matches(['\n', '\r']);
    if let Some(digits) = line.strip_prefix(HASH_PREFIX) {
        return Hash::from_hex(digits.as_bytes())
            .ok_or("it has sha256: without 64 hex digits in small letters");
    }
    match ApiKey::parse(line) {
        Ok(key) => Ok(key.hash()),
        Err(KeyForm::Miscopied) => Err("it has a key with a wrong length or checksum"),
        Err(_) if line.is_empty() => Err("it is empty"),
        Err(_) => Err("it has neither a key that begins with mek_ nor sha256: and a hash"),
    }
}

fn checksum(body: &str) -> String {
    let mut check = base32(&Hash::of(body.as_bytes()).0[..4]);
    check.truncate(CHECK_CHARS);
    check
}

/// Base32 without padding. The last character has the bits that are left over, and zeros.
fn base32(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut held) = (String::new(), 0_u32, 0_u32);
    for byte in bytes {
        (bits, held) = (bits + 8, (held << 8) | u32::from(*byte));
        while bits >= 5 {
            bits -= 5;
            text.push(letter(held >> bits));
            held &= (1 << bits) - 1;
        }
    }
    if bits > 0 {
        text.push(letter(held << (5 - bits)));
    }
    text
}

fn letter(value: u32) -> char {
    char::from(ALPHABET[(value & 31) as usize])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form_of(text: &str) -> KeyForm {
        form(text)
    }

    #[test]
    fn a_key_has_one_form() {
        let key = ApiKey::of_random(&[0; KEY_RANDOM_BYTES]);
        assert_eq!(key.secret_text().len(), KEY_CHARS);
        assert!(key.secret_text().starts_with("mek_aaaaaaaa_aaaa"));
        assert_eq!(key.id(), "aaaaaaaa");
        assert!(!format!("{key:?}").contains("_a"), "{key:?}");
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        for (text, form) in [
            ("", KeyForm::Foreign),
            ("ghp_x", KeyForm::Foreign),
            ("mek_", KeyForm::Miscopied),
            ("Mek_a", KeyForm::Foreign),
        ] {
            assert_eq!(form_of(text), form, "{text}");
        }
        // A character of several bytes in the place of a separator must not be split.
        assert_eq!(form_of(&format!("mek_{}", "é".repeat(33))), KeyForm::Miscopied);
    }

    #[test]
    fn a_file_has_a_key_or_its_hash() {
        let key = ApiKey::of_random(&[7; KEY_RANDOM_BYTES]);
        assert_eq!(stored_hash(&format!("{}\n", key.secret_text())), Ok(key.hash()));
        assert_eq!(stored_hash(&format!("sha256:{}\r\n", key.hash())), Ok(key.hash()));
        for bad in
            ["", "\n", "sha256:12", "hunter2", &format!(" {}", key.secret_text()), &key.secret_text()[..70]]
        {
            assert!(stored_hash(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_key_is_read_back_and_no_wrong_copy_is(
            bytes in any::<[u8; KEY_RANDOM_BYTES]>(), place in 0..KEY_CHARS, other in "[a-z2-7_]",
        ) {
            let key = ApiKey::of_random(&bytes);
            let text = key.secret_text();
            prop_assert_eq!(ApiKey::parse(text), Ok(key.clone()));
            let mut copied = text.to_owned();
            copied.replace_range(place..=place, &other);
            if copied != text {
                prop_assert!(ApiKey::parse(&copied).is_err());
            }
            prop_assert!(ApiKey::parse(&text[..KEY_CHARS - 1]).is_err());
        }
    }
}
