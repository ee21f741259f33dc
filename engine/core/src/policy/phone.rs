//! Detects telephone numbers. Some groupings of digits are always a telephone number; other digits count only next to a
//! word that indicates a telephone number.

use std::ops::Range;

use regex::bytes::Regex;

use super::boundary::is_word;

/// Pattern of the words before a number that make it a telephone number, up to the number. A few words may follow a
/// noun, but only a person and a preposition may follow a verb: "call 5 times" is not about a telephone number, but ten
/// digits after "call" are.
pub(super) const WORDS_BEFORE: &str = r"(?i)(?:\b(?:(?:tele)?phone|tel|mobile|cell(?:phone)?|fax|whatsapp|sms|handset|desk|landline|hotline|pager|telefono?|telefon|handy|movil|registered|contact number)s?(?:[_ ]?(?:no|nr|num|number))?(?:[^0-9a-zA-Z]{1,8}|[^0-9a-zA-Z]{1,3}(?:is|are|at|on|was|number|numbers|no\.?|to|is now|under)[^0-9a-zA-Z]{1,4})|\b(?:call|dial|text|ring|reach|contact|message|messages|phoning|calling|answering)(?: (?:me|us|him|her|them|someone|you|back))?(?: (?:on|at|to|via))?:? {1,4})$";
/// Number of bytes before a number that are searched for [`WORDS_BEFORE`].
const WORDS_BEFORE_BYTES: usize = 48;
/// Words after a number that indicate a telephone number.
const WORDS_BEHIND: [&str; 9] =
    ["office", "fax", "mobile", "home", "cell", "work", "landline", "desk", "phone"];
/// Maximum number of groups of digits in one telephone number.
const GROUPS_MAX: usize = 8;
/// Minimum and maximum number of digits next to an indicating word. E.164 allows 15; dialling with 00 and an extension
/// add more.
const DIGITS: (usize, usize) = (6, 17);

/// A run of digits and the separators before it.
#[derive(Clone, Copy)]
struct Group {
    marks: (usize, usize),
    digits: (usize, usize),
}

impl Group {
    fn len(&self) -> usize {
        self.digits.1 - self.digits.0
    }

    fn marks<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.marks.0..self.marks.1]
    }

    fn digits<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.digits.0..self.digits.1]
    }
}

/// Finds all telephone numbers.
pub(super) fn find(text: &[u8], words_before: &Regex) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = next_start(text, at) {
        let groups = groups(text, start);
        let lead = &text[start.saturating_sub(WORDS_BEFORE_BYTES)..start];
        // Matching the pattern is the most expensive step; the check for letters avoids it in series of numbers.
        let said = lead.iter().any(u8::is_ascii_alphabetic) && words_before.is_match(lead);
        let number = (1..=groups.len()).rev().find_map(|count| number(text, &groups[..count], said));
        at = match (&number, groups.first()) {
            (Some(number), _) => number.end,
            // The number may also start after the opening bracket.
            (None, Some(first)) if first.marks.0 == first.marks.1 => first.digits.1,
            (None, _) => start + 1,
        };
        found.extend(number);
    }
    found
}

/// The next position where a number can start: not inside a word, a decimal number, a date or an identifier.
fn next_start(text: &[u8], from: usize) -> Option<usize> {
    (from..text.len()).find(|&at| {
        let opens = matches!(text[at], b'+' | b'(') || text[at].is_ascii_digit();
        opens && {
            let before = at.checked_sub(1).map(|before| text[before]);
            let joined = before.is_some_and(|byte| is_word(byte) || b"+.-/:#=$".contains(&byte));
            // A colon or an equals sign can also follow a word: `tel:`, `phone=`.
            let second = at.checked_sub(2).map(|before| text[before]);
            let letter = second.is_some_and(|byte| byte.is_ascii_alphabetic() || b"\"' ".contains(&byte));
            !joined || (letter && before.is_some_and(|byte| b":=".contains(&byte)))
        }
    })
}

/// The groups of digits from this position, as long as separators used in telephone numbers connect them.
fn groups(text: &[u8], start: usize) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut at = start;
    while groups.len() < GROUPS_MAX {
        let marks = text[at..].iter().take_while(|byte| b"+() .-/".contains(byte)).count();
        let digits = text[at + marks..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if marks > 3 || digits == 0 || digits > DIGITS.1 {
            break;
        }
        groups.push(Group { marks: (at, at + marks), digits: (at + marks, at + marks + digits) });
        at += marks + digits;
    }
    groups
}

/// Range of the telephone number that these groups form, including its extension; None if they form none. `said` tells
/// whether a word before them indicates a telephone number.
fn number(text: &[u8], groups: &[Group], said: bool) -> Option<Range<usize>> {
    let (first, last) = (groups.first()?, groups.last()?);
    let start = first.marks.0;
    let mut end = last.digits.1;
    let extension = extension(&text[end..]);
    end += extension;
    let joined = |byte: u8| is_word(byte) || byte == b'%' || byte == b'@';
    let followed = |pair: &[u8]| b".-/:,".contains(&pair[0]) && pair[1].is_ascii_digit();
    if text.get(end).copied().is_some_and(joined) || text[end..].windows(2).next().is_some_and(followed) {
        return None;
    }
    let said = said || said_behind(&text[end..]);
    let digits: usize = groups.iter().map(Group::len).sum();
    let sure = international(text, groups, digits)
        || national(text, groups)
        || (extension > 0 && three_three_four(groups));
    let plausible =
        || (DIGITS.0..=DIGITS.1).contains(&digits) && !is_date(groups) && !is_dotted_quad(text, groups);
    let count = |bracket: u8| text[start..end].iter().filter(|byte| **byte == bracket).count();
    ((sure || (said && plausible())) && count(b'(') == count(b')')).then_some(start..end)
}

/// Length in bytes of the extension at the start of `rest`: `x123`, ` ext. 123`.
fn extension(rest: &[u8]) -> usize {
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count().min(1);
    let marks = [&b"extension "[..], b"ext. ", b"ext ", b"ext", b"x"];
    let mark = marks.iter().find(|mark| rest[spaces..].starts_with(mark)).map_or(0, |mark| mark.len());
    let digits =
        rest[(spaces + mark).min(rest.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if mark > 0 && (1..=6).contains(&digits) { spaces + mark + digits } else { 0 }
}

fn said_behind(rest: &[u8]) -> bool {
    let marks = rest.iter().take_while(|byte| b" -(".contains(byte)).count();
    let word = &rest[marks..];
    let is = |said: &str| {
        word.len() >= said.len()
            && word[..said.len()].eq_ignore_ascii_case(said.as_bytes())
            && !word.get(said.len()).copied().is_some_and(is_word)
    };
    (1..=2).contains(&marks) && WORDS_BEHIND.iter().any(|said| is(said))
}

/// Whether the number starts with `+` or `00` and a country code. `00` only counts in grouped numbers, because long
/// numbers may start with zeros too.
fn international(text: &[u8], groups: &[Group], digits: usize) -> bool {
    let first = groups[0];
    let number = first.digits(text);
    let plus = first.marks(text).contains(&b'+') && number[0] != b'0' && (8..=15).contains(&digits);
    let dialled = number.starts_with(b"00")
        && (3..=5).contains(&number.len())
        && number[2] != b'0'
        && groups.len() > 2
        && (11..=17).contains(&digits);
    plus || dialled
}

/// Whether the digits have a grouping that only telephone numbers have: North America, France, mobile numbers of the
/// United Kingdom, and area codes in brackets.
fn national(text: &[u8], groups: &[Group]) -> bool {
    let groups = if groups.len() == 4 && matches!(groups[0].digits(text), b"1" | b"001") {
        &groups[1..]
    } else {
        groups
    };
    // The array is on the stack, because a series of numbers reaches this line once per number.
    let mut lengths = [0; GROUPS_MAX];
    groups.iter().zip(&mut lengths).for_each(|(group, length)| *length = group.len());
    let marks = |at: usize| groups[at].marks(text);
    let bracketed = marks(0).ends_with(b"(") && groups.len() > 1 && marks(1).starts_with(b")");
    let zero = groups[0].digits(text)[0] == b'0';
    match lengths[..groups.len()] {
        [3, 3, 4] => {
            let exchange = |at: usize| groups[at].digits(text)[0] > b'1';
            let same = marks(1) == marks(2);
            bracketed
                || (same && marks(1) == b"-")
                || (same && matches!(marks(1), b"." | b" ") && exchange(0) && exchange(1))
        }
        [5, 3, 3] | [5, 6] => groups[0].digits(text).starts_with(b"07") || (bracketed && zero),
        [2, 2, 2, 2, 2] => zero && (1..5).all(|at| marks(at) == marks(1) && marks(1).len() == 1),
        [2..=5, 3 | 4, 3 | 4] => bracketed && zero,
        _ => false,
    }
}

fn three_three_four(groups: &[Group]) -> bool {
    groups.iter().rev().map(Group::len).take(3).eq([4, 3, 3])
}

/// Whether the groups are year, month and day in some order.
fn is_date(groups: &[Group]) -> bool {
    matches!(groups.iter().map(Group::len).collect::<Vec<_>>()[..], [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 4])
}

fn is_dotted_quad(text: &[u8], groups: &[Group]) -> bool {
    groups.len() == 4
        && groups[1..].iter().all(|group| group.marks(text) == b".")
        && groups.iter().all(|group| group.len() <= 3)
}
