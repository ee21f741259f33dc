//! A name as people read it: `user_+14155550132` is a word and a number, `ana%40example.org` is an e-mail address. For
//! detectors `_` is a part of a word, and a hyphen before a number a sign that it is a part of something longer.

use std::ops::Range;

use super::detector::{Finds, Kind};

/// How often `%` and two digits are decoded: what is encoded twice is read too.
const DECODINGS_MAX: usize = 3;
/// Fewest digits behind a `+` that may be a telephone number.
const DIALLED_DIGITS_MIN: usize = 8;
/// Digits of a telephone number without marks that is no shorter part of something else.
const NATIONAL_DIGITS: usize = 10;
/// Words before a number in texts that in names are those of anything: `message_1732571234`, `call_20241129`.
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
/// The same unless a whole telephone number stands behind.
const COMMON_UNLESS_WHOLE: [&str; 3] = ["cell", "desk", "pager"];
/// Words that say of digits joined to them what they are: `phone4155550132`.
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

/// A name in another form, and the way back.
pub(super) struct Reading {
    text: String,
    /// Of each byte of `text` the bytes of the name it stands for.
    sources: Vec<(usize, usize)>,
}

/// A character and the bytes of the name it stands for.
#[derive(Clone, Copy)]
struct Seen {
    c: char,
    from: usize,
    to: usize,
    /// Part of a token, which stays as it is.
    kept: bool,
}

impl Reading {
    /// `None` when it reads as it is written. `tokens` are the places of tokens in it.
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

    /// Where a part came from.
    pub(super) fn source(&self, part: &Range<usize>) -> Range<usize> {
        if part.is_empty() {
            return 0..0;
        }
        self.sources[part.start].0..self.sources[part.end - 1].1
    }

    /// Whether what was found here is personal in a name too: what has a form of its own, and no row of numbers or day
    /// that a telephone number looks like.
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

/// Year, month and day in a row: `20241129`.
fn is_day(found: &str) -> bool {
    let value = |part: Range<usize>| found.get(part).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    found.len() == 8
        && found.bytes().all(|byte| byte.is_ascii_digit())
        && (1900..2100).contains(&value(0..4))
        && (1..=12).contains(&value(4..6))
        && (1..=31).contains(&value(6..8))
}

/// With `%2B` as `+`.
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

/// With blanks where a word and a number are joined.
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

/// What a mark between two characters is read as.
fn mark(c: char, before: Option<char>, behind: Option<char>) -> char {
    let (digit, letter) =
        (|c: Option<char>| c.is_some_and(is_digit), |c: Option<char>| c.is_some_and(char::is_alphabetic));
    match c {
        // A word behind a number says nothing of it: `20241129_work`.
        '_' | '\u{ff3f}' if digit(before) && letter(behind) => ';',
        '_' | '\u{ff3f}' => ' ',
        '-' if !(digit(before) && digit(behind) || letter(before) && letter(behind)) => {
            if digit(before) && letter(behind) { ';' } else { ' ' }
        }
        '.' if letter(before) && digit(behind) => ' ',
        '.' if digit(before) && letter(behind) => ';',
        // An e-mail address is none of these; see [`addresses`].
        '@' if digit(before) => ';',
        _ => c,
    }
}

/// Whether a `+` may begin a telephone number: not the build of a version, `1.2.3-rc+20241129`.
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

/// Which characters belong to an e-mail address, whose marks are its own: before an `@` that a domain stands behind,
/// and the domain.
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

/// Words that in names are those of anything become letters that mean nothing, as many as before.
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
