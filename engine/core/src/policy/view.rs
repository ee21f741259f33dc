//! Normalises text to ASCII for the detectors, so that they also find numbers written in full-width digits, with
//! zero-width characters inside, or with other kinds of hyphen. Every byte can be mapped back to its source.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::char::decompose_canonical;

use super::scripts;

/// Replaces a letter of a script without upper and lower case. This byte does not count as part of a word, because such
/// scripts write no space between a word and a number.
const UNCASED: u8 = 0x01;
/// Replaces all other characters without an ASCII equivalent: symbols, emoji.
const OTHER: u8 = b'?';
/// The letters U+00C0 to U+00FF without their diacritics.
const LATIN_1: &[u8; 64] = b"AAAAAAACEEEEIIIIDNOOOOOxOUUUUYTsaaaaaaaceeeeiiiidnooooo/ouuuuyty";

/// A text in ASCII, with a map back to the original.
pub(super) struct View<'a> {
    bytes: Cow<'a, [u8]>,
    /// For each byte, the byte range of the original it comes from. Empty if nothing was changed.
    sources: Vec<(u32, u32)>,
}

impl<'a> View<'a> {
    pub(super) fn new(text: &'a str) -> View<'a> {
        if text.is_ascii() && !text.contains('\\') {
            return View { bytes: Cow::Borrowed(text.as_bytes()), sources: Vec::new() };
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut sources = Vec::with_capacity(text.len());
        let mut rest = text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            let mut end = at + c.len_utf8();
            let cased = |c: char| c.is_lowercase() || c.is_uppercase();
            let joined = cased(c) && text[..at].chars().next_back().is_some_and(cased);
            if !joined && let Some((word, is, len)) = scripts::word_at(&text[at..]) {
                end = at + len;
                bytes.extend_from_slice(word.as_bytes());
                if is {
                    bytes.extend_from_slice(b": ");
                }
                sources.resize(bytes.len(), (offset(at), offset(end)));
                while rest.next_if(|(next, _)| *next < end).is_some() {}
                continue;
            }
            let mut seen = ascii(c);
            if c == '\\'
                && let Some(&(_, letter)) = rest.peek()
                && let Some(escaped) = escaped(letter)
            {
                rest.next();
                end += 1;
                seen = Some(escaped);
            }
            if let Some(seen) = seen {
                bytes.push(seen);
                sources.push((offset(at), offset(end)));
            }
        }
        View { bytes: Cow::Owned(bytes), sources }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Maps a range of the ASCII text back to the original. Both ends are on character boundaries.
    pub(super) fn source(&self, part: &Range<usize>) -> Range<usize> {
        if self.sources.is_empty() || part.is_empty() {
            return part.clone();
        }
        self.sources[part.start].0 as usize..self.sources[part.end - 1].1 as usize
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a text is within the limits of a request, which are far below 4 GiB")
}

/// The line break or tab that a backslash and this letter stand for, as in JSON inside a text. Without this, the letter
/// would be taken as part of the following word.
fn escaped(letter: char) -> Option<u8> {
    match letter {
        'n' | 'r' => Some(b'\n'),
        't' => Some(b'\t'),
        _ => None,
    }
}

/// The ASCII equivalent of a character; `None` for invisible characters.
fn ascii(c: char) -> Option<u8> {
    let code = c as u32;
    let seen = match code {
        0..=0x7f => code as u8,
        0xad | 0x180e | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x2069 | 0xfe00..=0xfe0f | 0xfeff => {
            return None;
        }
        // Latin letters without a canonical decomposition.
        0x110 | 0x111 | 0x131 | 0x141 | 0x142 => {
            b"DdiLl"[[0x110, 0x111, 0x131, 0x141, 0x142].partition_point(|it| *it < code)]
        }
        0x300..=0x36f | 0xe0000..=0xe01ef => return None,
        0xa0 | 0x1680 | 0x2000..=0x200a | 0x202f | 0x205f | 0x3000 => b' ',
        0x85 | 0x2028 | 0x2029 => b'\n',
        0x2010..=0x2015 | 0x2043 | 0x2212 | 0xfe58 | 0xfe63 => b'-',
        0x2018 | 0x2019 | 0x201b | 0x2032 => b'\'',
        0x201c..=0x201e | 0x2033 => b'"',
        0x2024 => b'.',
        0xc0..=0xff => LATIN_1[code as usize - 0xc0],
        0xff01..=0xff5e => (code - 0xff01) as u8 + b'!',
        0x1d7ce..=0x1d7ff => b'0' + ((code - 0x1d7ce) % 10) as u8,
        _ => return Some(digit(code).unwrap_or_else(|| letter(c))),
    };
    Some(seen)
}

/// The digit zero of other decimal systems: Arabic, Persian, N'Ko, and the scripts of India and south-east Asia.
const ZEROS: [u32; 19] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20,
    0x1040, 0x17e0, 0x1810, 0x19d0,
];

fn digit(code: u32) -> Option<u8> {
    let zero = ZEROS.iter().rev().find(|zero| **zero <= code)?;
    (code - zero < 10).then(|| b'0' + (code - zero) as u8)
}

/// A Latin letter without its diacritics; other characters by their class.
fn letter(c: char) -> u8 {
    let mut base = c;
    if matches!(c as u32, 0x100..=0x24f | 0x1e00..=0x1eff) {
        let mut first = None;
        decompose_canonical(c, |part| base = *first.get_or_insert(part));
    }
    match base {
        _ if base.is_ascii_alphabetic() => base as u8,
        _ if c.is_uppercase() => b'X',
        _ if c.is_lowercase() => b'x',
        _ if c.is_alphabetic() => UNCASED,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seen: &str) {
        assert_eq!(String::from_utf8_lossy(View::new(text).bytes()), seen, "{text:?}");
    }

    #[test]
    fn what_looks_like_ascii_is_seen_as_ascii() {
        check("4111 1111", "4111 1111");
        check("4\u{200b}1\u{ad}1\u{feff}1", "4111");
        check("４１１１－１", "4111-1");
        check("٤١١ ४१", "411 41");
        check("\u{1d7d2}\u{1d7cf}", "41");
        check("a\u{2011}b\u{a0}c", "a-b c");
        check("Größe Ωμέγα 中9", "Grose Xxxxx \u{1}9");
        check("a\\nb\\\\", "a\nb\\\\");
        check("e\u{301}", "e");
        check("hasło şifre mật khẩu İzmir", "haslo sifre mat khau Izmir");
        check("Пароли: 密码是1", "password: password: 1");
        check("суперпароль", "xxxxxxxxxxx");
    }

    #[test]
    fn every_part_leads_back_to_whole_characters() {
        let text = "ä４\u{200b}1 中\\n日🦀x";
        let words = "a密码是1 паролем";
        let words = View::new(words).source(&(1..12));
        assert_eq!(words, 1..11, "a word goes with all of it");
        let view = View::new(text);
        for start in 0..view.bytes().len() {
            for end in start + 1..=view.bytes().len() {
                let source = view.source(&(start..end));
                assert!(text.get(source.clone()).is_some_and(|part| !part.is_empty()), "{source:?}");
            }
        }
        assert_eq!(view.source(&(1..3)), 2..9, "the digit that is not seen in between goes with them");
    }
}
