//! Whether a key is hard to guess, as far as its text shows. A key that passes may still be a bad one: only how it was
//! made decides that. What is refused here are texts that no generator of keys makes.

use std::collections::BTreeMap;

/// Minimum length of a key, characters.
pub const CHARACTERS_MIN: usize = 32;
/// Minimum number of different characters. 32 random hexadecimal digits have 14 on average, and fewer than 8 about once
/// in a hundred million.
const DISTINCT_MIN: usize = 8;
/// Minimum entropy of a text, bits, estimated from how often it has each character. 32 random hexadecimal digits have
/// about 115, 32 random decimal digits about 100.
const ENTROPY_BITS_MIN: f64 = 80.0;
/// Minimum length of what is left of a text without the words of [`WELL_KNOWN`].
const OWN_CHARACTERS_MIN: usize = 16;
/// Words of which people make keys that everybody can guess. Longer words come before those that they contain.
const WELL_KNOWN: [&str; 37] = [
    "correcthorsebatterystaple",
    "administrator",
    "placeholder",
    "replaceme",
    "bootstrap",
    "changeit",
    "changeme",
    "insecure",
    "password",
    "passwort",
    "iloveyou",
    "replace",
    "letmein",
    "example",
    "default",
    "welcome",
    "monkey",
    "dragon",
    "engine",
    "access",
    "client",
    "memory",
    "qwerty",
    "secret",
    "sample",
    "change",
    "insert",
    "please",
    "bearer",
    "token",
    "admin",
    "agent",
    "dummy",
    "test",
    "root",
    "your",
    "this",
];

/// Why a key is easy to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// It has fewer characters than [`CHARACTERS_MIN`].
    Short,
    /// It consists of words that everybody tries first.
    WellKnown,
    /// It has few different characters, repeats itself, or counts up or down.
    Regular,
}

/// Judges a key; `None` if nothing is wrong with it.
#[must_use]
pub fn weakness(key: &str) -> Option<Weakness> {
    let characters: Vec<char> = key.chars().collect();
    if is_well_known(key) {
        return Some(Weakness::WellKnown);
    }
    if characters.len() < CHARACTERS_MIN {
        return Some(Weakness::Short);
    }
    let mut counts: BTreeMap<char, u32> = BTreeMap::new();
    for character in &characters {
        *counts.entry(*character).or_default() += 1;
    }
    let is_regular = counts.len() < DISTINCT_MIN
        || entropy_bits(counts.values().copied()) < ENTROPY_BITS_MIN
        || repeats(&characters)
        || counts_up_or_down(&characters);
    is_regular.then_some(Weakness::Regular)
}

/// Whether little is left of a text when the words, and what stands between them, are removed. Digits that only count
/// are removed too.
fn is_well_known(key: &str) -> bool {
    let letters = |c: &char| c.is_ascii_alphanumeric();
    let plain: String = key.to_ascii_lowercase().chars().filter(letters).collect();
    let mut rest = plain.clone();
    for word in WELL_KNOWN {
        rest = rest.replace(word, "");
    }
    rest.len() < plain.len() && rest.len() < OWN_CHARACTERS_MIN
}

/// Shannon entropy of a text with these counts of its characters, bits.
fn entropy_bits(counts: impl Iterator<Item = u32> + Clone) -> f64 {
    let total: f64 = counts.clone().map(f64::from).sum();
    counts.map(f64::from).map(|count| count * (total / count).log2()).sum()
}

/// Whether a text is a shorter text, several times.
fn repeats(characters: &[char]) -> bool {
    let length = characters.len();
    (1..=length / 2).any(|period| (period..length).all(|at| characters[at] == characters[at - period]))
}

/// Whether more than three quarters of the characters follow the one before in the alphabet, forwards or backwards, or
/// equal it. Of random decimal digits, 28 in 100 do.
fn counts_up_or_down(characters: &[char]) -> bool {
    let steps = characters.windows(2).filter(|pair| u32::from(pair[0]).abs_diff(u32::from(pair[1])) <= 1);
    steps.count() * 4 > characters.len() * 3
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// Digits of a random number, to the base of the alphabet.
    fn random(seed: u32, alphabet: &[u8], length: usize) -> String {
        let bytes =
            (0_u32..).flat_map(|part| Sha256::digest([seed.to_be_bytes(), part.to_be_bytes()].concat()));
        // Bytes above the largest multiple are left out, so that each character is equally likely.
        let usable = 256 / alphabet.len() * alphabet.len();
        let usable = bytes.filter(|byte| usize::from(*byte) < usable);
        usable.take(length).map(|byte| char::from(alphabet[usize::from(byte) % alphabet.len()])).collect()
    }

    #[test]
    fn what_a_generator_makes_is_accepted() {
        let letters: Vec<u8> = (b'0'..=b'9').chain(b'a'..=b'z').chain(b'A'..=b'Z').collect();
        let alphabets: [(&[u8], usize); 4] =
            [(b"0123456789abcdef", 32), (b"0123456789abcdef", 64), (&letters, 32), (b"0123456789", 40)];
        for seed in 0..2_000 {
            for (alphabet, length) in alphabets {
                let key = random(seed, alphabet, length);
                assert_eq!(weakness(&key), None, "{key}");
                assert_eq!(weakness(&format!("mek_{key}")), None, "{key}");
            }
        }
        assert_eq!(weakness("550e8400-e29b-41d4-a716-446655440000"), None);
    }

    #[test]
    fn what_everybody_would_guess_is_not() {
        for (key, expected) in [
            ("", Weakness::Short),
            ("9f86d081884c7d659a2feaa0c55ad01", Weakness::Short),
            ("changeme", Weakness::WellKnown),
            ("Change-Me", Weakness::WellKnown),
            ("password123", Weakness::WellKnown),
            ("Passwort_2027!", Weakness::WellKnown),
            ("please-change-this-secret-token-2027", Weakness::WellKnown),
            ("memory-engine-admin-token-please-change", Weakness::WellKnown),
            ("passwordpasswordpasswordpassword", Weakness::WellKnown),
            ("correct-horse-battery-staple-correct-horse-battery-staple", Weakness::WellKnown),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Weakness::Regular),
            ("0000000000000000000000000000000000000001", Weakness::Regular),
            ("abcabcabcabcabcabcabcabcabcabcabcabc", Weakness::Regular),
            ("abcdefghijklmnopqrstuvwxyz0123456789", Weakness::Regular),
            ("9876543210zyxwvutsrqponmlkjihgfedcba", Weakness::Regular),
            ("K7fQ2mXw9LpZ4rTcK7fQ2mXw9LpZ4rTc", Weakness::Regular),
            ("12341234432112344321123412344321", Weakness::Regular),
        ] {
            assert_eq!(weakness(key), Some(expected), "{key}");
        }
    }

    /// A key that contains a word is not a word.
    #[test]
    fn a_word_in_a_key_does_no_harm() {
        assert_eq!(weakness("admin-token-5f2c81d09ab34e67f01d2c3b4a596878"), None);
    }
}
