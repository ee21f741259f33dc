//! Rewrites a name as a person would read it, so that the detectors find personal data joined to other text:
//! `user_+14155550132` is a word and a telephone number, `ana%40example.org` is an e-mail address. Without this,
//! detectors take `_` as part of a word, and a number after a hyphen as a part of something longer.

use std::ops::Range;

use super::detector::{Finds, Kind};

/// Maximum number of times that percent-encoding is decoded, for names that were encoded more than once.
const DECODINGS_MAX: usize = 3;
/// Minimum number of digits after a `+` that starts a telephone number.
const DIALLED_DIGITS_MIN: usize = 8;
/// Number of digits of a complete national telephone number without separators.
const NATIONAL_DIGITS: usize = 10;
/// Words that indicate a telephone number in text, but not in a name: `message_1732571234`, `call_20241129`.
const COMMON_WORDS: [&str; 16] = [
    "call",
    "dial",
    "text",
    "ring",
    "reach",
    "contact",
    "message",
    "messages",
    "phoning",
    "calling",
    "answering",
    "registered",
    "cells",
    "desks",
    "handset",
    "handsets",
];
/// Words that indicate a telephone number in a name only if a complete telephone number follows.
const COMMON_UNLESS_WHOLE: [&str; 3] = ["cell", "desk", "pager"];
/// Words that describe the digits joined to them: `phone4155550132`.
const TELLING_WORDS: [&str; 15] = [
    "phone",
    "telephone",
    "cellphone",
    "tel",
    "mobile",
    "fax",
    "whatsapp",
    "sms",
    "handy",
    "telefon",
    "telefono",
    "ssn",
    "card",
    "visa",
    "mastercard",
];

/// A rewritten name, with a map back to the original.
pub(super) struct Reading {
    text: String,
    /// For each byte of `text`, the byte range of the name it comes from.
    sources: Vec<(usize, usize)>,
}

/// A character, and the byte range of the name it comes from.
#[derive(Clone, Copy)]
struct Seen {
    c: char,
    from: usize,
    to: usize,
    /// Part of a pseudonym token, which is not rewritten.
    kept: bool,
}

impl Reading {
    /// Rewrites a name; returns `None` if the result equals the original. `tokens` are the ranges of pseudonym tokens
    /// in the name.
    pub(super) fn of(name: &str, tokens: &[Range<usize>]) -> Option<Reading> {
        let seen = name.char_indices().map(|(from, c)| {
            let next = tokens.partition_point(|token| token.end <= from);
            let kept = tokens.get(next).is_some_and(|token| token.start <= from);
            Seen { c, from, to: from + c.len_utf8(), kept }
        });
        let seen = decoded(seen.collect());
        let mut read = parted(&seen);
        without_common_words(&mut read);
        let mut reading = Reading { text: String::with_capacity(name.len() + 8), sources: Vec::new() };
        for Seen { c, from, to, .. } in read {
            reading.text.push(c);
            reading.sources.resize(reading.text.len(), (from, to));
        }
        (reading.text != name).then_some(reading)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Maps a range of the rewritten name back to the original.
    pub(super) fn source(&self, part: &Range<usize>) -> Range<usize> {
        if part.is_empty() {
            return 0..0;
        }
        self.sources[part.start].0..self.sources[part.end - 1].1
    }

    /// Whether a match in the rewritten name counts. Only kinds with a distinctive format count. A telephone number
    /// does not count if it may also be a series of numbers or a date.
    pub(super) fn counts(&self, finds: Finds, part: &Range<usize>, found: &str) -> bool {
        match finds {
            Finds::Secret | Finds::Personal(Kind::Address | Kind::Name) => false,
            Finds::Personal(Kind::Phone) => {
                let international = self.text[part.clone()].contains('+');
                let rows = found.contains('_') && !self.says_phone(part.start);
                international || !(rows || is_day(found))
            }
            Finds::Personal(_) => true,
        }
    }

    fn says_phone(&self, before: usize) -> bool {
        let words = self.text[..before].split(|c: char| !c.is_ascii_alphabetic());
        words.into_iter().any(|word| TELLING_WORDS.iter().any(|telling| telling.eq_ignore_ascii_case(word)))
    }
}

/// Whether the digits are a date without separators: `20241129`.
fn is_day(found: &str) -> bool {
    let value = |part: Range<usize>| found.get(part).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    found.len() == 8
        && found.bytes().all(|byte| byte.is_ascii_digit())
        && (1900..2100).contains(&value(0..4))
        && (1..=12).contains(&value(4..6))
        && (1..=31).contains(&value(6..8))
}

/// Decodes percent-encoding: `%2B` becomes `+`.
fn decoded(mut seen: Vec<Seen>) -> Vec<Seen> {
    for _ in 0..DECODINGS_MAX {
        if !seen.iter().any(|it| it.c == '%') {
            break;
        }
        let mut out: Vec<Seen> = Vec::with_capacity(seen.len());
        let mut at = 0;
        while let Some(it) = seen.get(at) {
            match encoded(&seen[at..]) {
                Some(c) => {
                    out.push(Seen { c, to: seen[at + 2].to, ..*it });
                    at += 3;
                }
                None => {
                    out.push(*it);
                    at += 1;
                }
            }
        }
        seen = out;
    }
    seen
}

fn encoded(seen: &[Seen]) -> Option<char> {
    let [percent, high, low, ..] = seen else { return None };
    if percent.c != '%' || percent.kept {
        return None;
    }
    let byte = high.c.to_digit(16)? * 16 + low.c.to_digit(16)?;
    char::from_u32(byte).filter(|c| matches!(c, ' '..='~'))
}

/// Inserts spaces where a word and a number are joined.
fn parted(seen: &[Seen]) -> Vec<Seen> {
    let in_address = addresses(seen);
    let mut out: Vec<Seen> = Vec::with_capacity(seen.len() + 8);
    let mut word = String::new();
    let mut dialled = false;
    for (at, &it) in seen.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| seen[before].c);
        let behind = seen.get(at + 1).map(|behind| behind.c);
        let free = !it.kept && !in_address[at];
        let blank = Seen { c: ' ', to: it.from, ..it };
        let telling = is_digit(it.c) && TELLING_WORDS.iter().any(|known| known.eq_ignore_ascii_case(&word));
        let ended = dialled && it.c.is_alphabetic();
        let opens = is_plus(it.c) && plus_dials(seen, at);
        if free && (telling || ended || (opens && before.is_some_and(|c| !c.is_numeric()))) {
            out.push(blank);
        }
        dialled = opens || (dialled && is_digit(it.c));
        let c = if free { mark(it.c, before, behind) } else { it.c };
        if it.c.is_ascii_alphabetic() {
            word.push(it.c);
        } else {
            word.clear();
        }
        out.push(Seen { c, ..it });
    }
    out
}

fn is_plus(c: char) -> bool {
    matches!(c, '+' | '\u{ff0b}')
}

fn is_digit(c: char) -> bool {
    c.is_numeric()
}

/// Replacement for the punctuation mark `c` between the characters `before` and `behind`.
fn mark(c: char, before: Option<char>, behind: Option<char>) -> char {
    let (digit, letter) =
        (|c: Option<char>| c.is_some_and(is_digit), |c: Option<char>| c.is_some_and(char::is_alphabetic));
    match c {
        // Separates a word from a number before it, because it does not describe the number: `20241129_work`.
        '_' | '\u{ff3f}' if digit(before) && letter(behind) => ';',
        '_' | '\u{ff3f}' => ' ',
        '-' if !(digit(before) && digit(behind) || letter(before) && letter(behind)) => {
            if digit(before) && letter(behind) { ';' } else { ' ' }
        }
        '.' if letter(before) && digit(behind) => ' ',
        '.' if digit(before) && letter(behind) => ';',
        // This `@` is not part of an e-mail address, because [`addresses`] excludes those.
        '@' if digit(before) => ';',
        _ => c,
    }
}

/// Whether a `+` may start a telephone number. Excludes build metadata of versions: `1.2.3-rc+20241129`.
fn plus_dials(seen: &[Seen], at: usize) -> bool {
    let digits = seen[at + 1..]
        .iter()
        .take_while(|it| is_digit(it.c) || matches!(it.c, ' ' | '-' | '.' | '(' | ')' | '_'))
        .filter(|it| is_digit(it.c))
        .take(DIALLED_DIGITS_MIN)
        .count();
    let lead =
        || seen[..at].iter().rev().take_while(|it| it.c.is_alphanumeric() || matches!(it.c, '.' | '-'));
    let lead: Vec<char> = lead().map(|it| it.c).take(64).collect();
    let version = lead.windows(3).any(|part| is_digit(part[0]) && part[1] == '.' && is_digit(part[2]));
    digits >= DIALLED_DIGITS_MIN && !version
}

/// Marks the characters of e-mail addresses, whose punctuation is kept: the part before an `@` that is followed by a
/// domain, and the domain.
fn addresses(seen: &[Seen]) -> Vec<bool> {
    let mut inside = vec![false; seen.len()];
    let local = |c: char| c.is_ascii_alphanumeric() || "._%+'-".contains(c);
    for at in (0..seen.len()).filter(|at| seen[*at].c == '@') {
        let domain = seen[at + 1..]
            .iter()
            .take_while(|it| it.c.is_alphanumeric() || matches!(it.c, '.' | '-'))
            .map(|it| it.c);
        let domain: Vec<char> = domain.take(253).collect();
        let labels = domain.windows(2).any(|pair| pair[0] == '.' && pair[1].is_alphabetic());
        if labels {
            let name = seen[..at].iter().rev().take(64).take_while(|it| local(it.c) && !it.kept).count();
            inside[at - name..=at + domain.len()].fill(true);
        }
    }
    inside
}

/// Replaces words that carry no meaning in names by the same number of neutral letters.
fn without_common_words(read: &mut [Seen]) {
    let mut at = 0;
    while at < read.len() {
        let len = read[at..].iter().take_while(|it| it.c.is_ascii_alphabetic()).count();
        if len == 0 || read[at].kept {
            at += 1;
            continue;
        }
        let word: String = read[at..at + len].iter().map(|it| it.c.to_ascii_lowercase()).collect();
        let rest = &read[at + len..];
        let number = rest.iter().skip(1).take(6).map(|it| it.c.to_ascii_lowercase()).eq("number".chars());
        let digits = rest.iter().skip(1).take_while(|it| is_digit(it.c)).count();
        let common = (COMMON_WORDS.contains(&&*word) && !number)
            || (COMMON_UNLESS_WHOLE.contains(&&*word) && digits < NATIONAL_DIGITS);
        if common {
            read[at..at + len].iter_mut().for_each(|it| it.c = 'x');
        }
        at += len;
    }
}
