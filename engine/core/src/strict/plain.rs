//! Fast path for plain JSON; nearly all JSON is plain. Everything that is accepted here would also pass the full check.

use crate::limits::JSON_DEPTH_MAX;

/// Larger objects go to the full check, which does not compare every pair of keys.
const KEYS_MAX: usize = 16;
/// Longer numbers go to the full check, because they may not be finite.
const NUMBER_BYTES_MAX: usize = 32;

/// Whether the text is certainly one strict JSON value. Text with escapes, exponents or large objects gives `false`,
/// although it may be strict. Copies nothing.
pub(super) fn is_plain(text: &str) -> bool {
    let mut walk = Walk { bytes: text.as_bytes() };
    walk.value(JSON_DEPTH_MAX) && walk.next_is_none()
}

/// Number of bytes before the first quote, backslash or control character.
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        // Sets the high bit of each byte that is below the limit. A borrow can only give wrong bits in bytes after the
        // first such byte.
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
        let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let found = below(word, 0x20) | equal(b'"') | equal(b'\\');
        if found != 0 {
            return i * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let plain = rest.iter().take_while(|byte| **byte >= b' ' && **byte != b'"' && **byte != b'\\');
    bytes.len() - rest.len() + plain.count()
}

struct Walk<'a> {
    bytes: &'a [u8],
}

impl<'a> Walk<'a> {
    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        loop {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
        }
    }

    fn next_is_none(&mut self) -> bool {
        self.next().is_none()
    }

    fn value(&mut self, depth_left: usize) -> bool {
        match self.next() {
            Some(b'"') => self.string().is_some(),
            Some(b'{') => depth_left > 0 && self.object(depth_left - 1),
            Some(b'[') => depth_left > 0 && self.array(depth_left - 1),
            Some(b't') => self.literal(b"rue"),
            Some(b'f') => self.literal(b"alse"),
            Some(b'n') => self.literal(b"ull"),
            Some(first @ (b'-' | b'0'..=b'9')) => self.number(first),
            _ => false,
        }
    }

    /// Content of a string up to the closing quote. The opening quote has already been consumed.
    fn string(&mut self) -> Option<&'a [u8]> {
        let (content, rest) = self.bytes.split_at(plain_len(self.bytes));
        self.bytes = rest.strip_prefix(b"\"")?;
        Some(content)
    }

    fn literal(&mut self, rest: &[u8]) -> bool {
        let after = self.bytes.strip_prefix(rest);
        self.bytes = after.unwrap_or_default();
        after.is_some()
    }

    fn number(&mut self, first: u8) -> bool {
        let length = self.bytes.len();
        let first = if first == b'-' { self.digit() } else { Some(first) };
        match first {
            Some(b'0') => {}
            Some(b'1'..=b'9') => while self.digit().is_some() {},
            _ => return false,
        }
        if let Some(rest) = self.bytes.strip_prefix(b".") {
            self.bytes = rest;
            if self.digit().is_none() {
                return false;
            }
            while self.digit().is_some() {}
        }
        // Anything else that could continue a number, such as an exponent, fails later, because it cannot follow a
        // value.
        length - self.bytes.len() < NUMBER_BYTES_MAX
    }

    fn digit(&mut self) -> Option<u8> {
        let (digit, rest) = self.bytes.split_first().filter(|(byte, _)| byte.is_ascii_digit())?;
        self.bytes = rest;
        Some(*digit)
    }

    fn array(&mut self, depth_left: usize) -> bool {
        let empty = Walk { bytes: self.bytes }.next() == Some(b']');
        if empty {
            return self.next().is_some();
        }
        while self.value(depth_left) {
            match self.next() {
                Some(b',') => {}
                Some(b']') => return true,
                _ => return false,
            }
        }
        false
    }

    fn object(&mut self, depth_left: usize) -> bool {
        let mut keys: [&[u8]; KEYS_MAX] = [b""; KEYS_MAX];
        for count in 0..KEYS_MAX {
            match self.next() {
                Some(b'"') => {}
                Some(b'}') if count == 0 => return true,
                _ => return false,
            }
            let Some(key) = self.string() else { return false };
            if keys[..count].contains(&key) {
                return false;
            }
            keys[count] = key;
            if self.next() != Some(b':') || !self.value(depth_left) {
                return false;
            }
            match self.next() {
                Some(b',') => {}
                Some(b'}') => return true,
                _ => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::full;
    use super::*;

    #[test]
    fn plain_json_is_seen_as_such() {
        let nested = "[".repeat(JSON_DEPTH_MAX) + &"]".repeat(JSON_DEPTH_MAX);
        let texts =
            [r#"{"a":[1,-2.5,0,true,null,false,"é🦀"],"b":{},"c":[],"d":{"a":1}}"#, " [ ] ", "0", "\"\""];
        for text in texts.into_iter().chain([r#"{"a": 1, "b": [1, 2]}"#, &nested]) {
            assert!(is_plain(text), "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_full_check() {
        let deep = "[".repeat(JSON_DEPTH_MAX + 1) + &"]".repeat(JSON_DEPTH_MAX + 1);
        let many = (0..=KEYS_MAX).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(",");
        let (many, long) = (format!("{{{many}}}"), "1".repeat(NUMBER_BYTES_MAX + 1));
        let texts = [
            r#"{"a":1,"a":2}"#,
            r#""\n""#,
            "1e3",
            "01",
            "-",
            "1.",
            "+1",
            ".5",
            "[1,]",
            r#"{"a":1,}"#,
            "",
            "{",
        ];
        for text in texts.into_iter().chain([
            "{} {}",
            "nul",
            "\"\u{1f}\"",
            "[1 2]",
            r#"{"a" 1}"#,
            &deep,
            &many,
            &long,
        ]) {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn the_end_of_plain_text_is_found_at_every_place() {
        for len in 0..40 {
            for at in 0..len {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'x'; len];
                    bytes[at] = byte;
                    let plain = byte >= b' ' && byte != b'"' && byte != b'\\';
                    assert_eq!(plain_len(&bytes), if plain { len } else { at }, "{byte} at {at} of {len}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

        /// Random sequences of JSON fragments, many of them nearly valid.
        #[test]
        fn what_is_plain_is_strict(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"b\"", "\"a\":", "\"b\":", "1", "-", "0", ".5", "e9", "true",
                "null", " ", "\\", "\\u0061", "{}", "[]", "{\"a\":", "é", "\t",
            ]), 0..12)
        ) {
            let text = pieces.concat();
            prop_assert!(!is_plain(&text) || full(&text).is_ok(), "{}", text);
        }
    }
}
