//! Parses JSON as this engine writes it, without copying.

use std::borrow::Cow;

use crate::digest::Hash;
use crate::strict::plain_len;

/// A position in a text. Each method returns None when the text that follows is not in the engine's plain form; the
/// position is then unspecified.
pub(super) struct Cursor<'a> {
    rest: &'a str,
    len: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { rest: text, len: text.len() }
    }

    /// Number of bytes read so far.
    pub(super) fn read(&self) -> usize {
        self.len - self.rest.len()
    }

    /// Skips exactly this text.
    pub(super) fn skip(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// If `text` follows, skips it and parses the value after it. Returns Some(None) if `text` does not follow.
    pub(super) fn optional<T>(
        &mut self,
        text: &str,
        read: impl FnOnce(&mut Cursor<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.skip(text) {
            Some(()) => read(self).map(Some),
            None => Some(None),
        }
    }

    /// Parses a string without escapes, including its quotes.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.skip("\"")?;
        let (content, rest) = self.rest.split_at(plain_len(self.rest.as_bytes()));
        self.rest = rest;
        self.skip("\"")?;
        Some(content)
    }

    /// Parses a list of at least one string.
    pub(super) fn strings(&mut self) -> Option<Vec<Cow<'a, str>>> {
        self.skip("[")?;
        let mut strings = vec![Cow::Borrowed(self.string()?)];
        while self.skip(",").is_some() {
            strings.push(Cow::Borrowed(self.string()?));
        }
        self.skip("]")?;
        Some(strings)
    }

    /// Parses an integer without sign or leading zeros.
    pub(super) fn number(&mut self) -> Option<u64> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let plain = number == "0" || !number.starts_with('0');
        number.parse().ok().filter(|_| plain)
    }

    /// Parses a hash, including its quotes.
    pub(super) fn hash(&mut self) -> Option<Hash> {
        self.skip("\"")?;
        let (digits, rest) = self.rest.split_at_checked(64)?;
        self.rest = rest;
        self.skip("\"")?;
        Hash::from_hex(digits.as_bytes())
    }
}
