//! Parses the text between a name and its value in programming languages, configuration files, markup, command lines
//! and sentences. The number of bytes read is bounded.

use std::ops::Range;

use super::boundary::is_word;
use super::value::Said;

/// Maximum distance between a name and its value, bytes.
const REACH_BYTES: usize = 120;
/// Maximum length of a value, bytes.
pub(super) const VALUE_BYTES_MAX: usize = 512;
/// Signs that assign a value, longest first.
const SIGNS: [&[u8]; 19] = [
    b":::=", b"||=", b"??=", b"===", b"!==", b"::=", b"?=", b"|=", b".=", b"+=", b"==", b"!=", b":=", b"=>",
    b"||", b"<-", b"=", b":", b"|",
];

/// A value and how it is written.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// Range of the value in the text, bytes.
    pub(super) range: Range<usize>,
    /// Whether it is in quotes, or is the content of an element.
    pub(super) quoted: bool,
    /// How it is connected with its name.
    pub(super) said: Said,
}

/// The value that is assigned to a name in the text after it; None if there is none.
pub(super) fn behind(text: &[u8], name: Range<usize>) -> Option<Value> {
    let reach = &text[..text.len().min(name.end + REACH_BYTES)];
    let element = before_is(text, name.start, b"<");
    if element && reach.get(name.end) == Some(&b'>') {
        return element_content(text, name.end + 1);
    }
    let (at, closed) = closers(reach, name.end);
    let gap = at + spaces(reach, at);
    if let Some(value) = pair_value(text, reach, at) {
        return Some(value);
    }
    if let Some(sign) = sign(reach, gap) {
        return given(text, reach, gap + sign).or_else(|| below(text, reach, gap + sign));
    }
    // `IDENTIFIED BY 'value'`. An unquoted value counts only if the words are in upper case, as usual in SQL, because
    // sentences contain these words too.
    let word = &text[name.clone()];
    if word.to_ascii_lowercase().ends_with(b" by") {
        let sql = word.ends_with(b"BY");
        return if sql { given(text, reach, gap) } else { quoted(text, reach, gap) };
    }
    match reach.get(gap) {
        Some(b'\n' | b'\r') => below(text, reach, gap),
        Some(b',') if closed => argument(text, reach, gap + 1),
        Some(b',') if reach.get(gap + 1) != Some(&b' ') => bare(text, gap + 1, Said::Behind),
        Some(b'(') if gap == at => argument(text, reach, gap + 1).or_else(|| aside(text, reach, gap)),
        Some(b'(') => aside(text, reach, gap),
        // A value after `pass` and a space does not count, because `pass` is also a verb.
        Some(_) if gap > at && !text[name.start..name.end].eq_ignore_ascii_case(b"pass") => {
            spoken(text, reach, at, gap)
        }
        _ => None,
    }
}

fn before_is(text: &[u8], at: usize, mark: &[u8]) -> bool {
    text[..at].ends_with(mark)
}

fn spaces(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take(16).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Number of bytes at `at` that are spaces, with at most one line break.
fn gap(text: &[u8], at: usize) -> usize {
    let mut breaks = 0;
    let blank = |byte: &&u8| {
        breaks += usize::from(**byte == b'\n');
        byte.is_ascii_whitespace() && breaks < 2
    };
    text.get(at..).unwrap_or_default().iter().take(40).take_while(blank).count()
}

/// Skips quotes and brackets after a name: `"]`, `**`, `[25]`, `</b>`. Returns the position after them, and whether
/// they contain a quote.
fn closers(text: &[u8], at: usize) -> (usize, bool) {
    let mut end = at;
    if text.get(end) == Some(&b'[') {
        let digits = text[end + 1..].iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
        if text.get(end + 1 + digits) == Some(&b']') {
            end += digits + 2;
        }
    }
    let marks = text
        .get(end..)
        .unwrap_or_default()
        .iter()
        .take(6)
        .take_while(|byte| b"\"'`])}*\\".contains(byte))
        .count();
    let closed = text[end..end + marks].iter().any(|byte| b"\"'`".contains(byte));
    end += marks;
    if text.get(end..).is_some_and(|rest| rest.starts_with(b"</")) {
        let tag = text[end..].iter().take(24).position(|byte| *byte == b'>');
        end += tag.map_or(0, |tag| tag + 1);
    }
    (end, closed)
}

/// Length in bytes of the sign at this position that assigns a value; None if there is no such sign.
fn sign(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    // `::` alone does not assign: `Token::parse` is a path.
    if rest.starts_with(b"::") && !rest.starts_with(b"::=") && !rest.starts_with(b":::=") {
        return None;
    }
    SIGNS.iter().find(|sign| rest.starts_with(sign)).map(|sign| sign.len())
}

/// The value after a sign: quoted, bare, on the next line, or after a type name and another sign.
fn given(text: &[u8], reach: &[u8], at: usize) -> Option<Value> {
    if let Some(typed) = behind_type(reach, at) {
        return given(text, reach, typed);
    }
    let block = at + spaces(reach, at);
    // Skips the mark of a multi-line text in YAML.
    let block = match reach.get(block..) {
        Some([b'|' | b'>', b'-' | b'+', b'\n', ..]) => block + 2,
        Some([b'|' | b'>', b'\n', ..]) => block + 1,
        _ => block,
    };
    let mut start = block + gap(reach, block);
    // Skips the stars in `**name:** value`.
    start += reach.get(start..)?.iter().take(2).take_while(|byte| **byte == b'*').count();
    start += spaces(reach, start);
    quoted(text, reach, start).or_else(|| bare(text, start, Said::Given))
}

/// `: string =`, `: Option<&str> =`, `: SecretStr =`: returns where the value starts.
fn behind_type(reach: &[u8], at: usize) -> Option<usize> {
    let start = at + spaces(reach, at);
    let rest = reach.get(start..)?;
    rest.first().filter(|first| first.is_ascii_alphabetic() || **first == b'&' || **first == b'*')?;
    let kind = rest
        .iter()
        .take(40)
        .take_while(|byte| byte.is_ascii_alphabetic() || b"_&'<>[], .:*?|".contains(byte))
        .count();
    let sign = rest.get(kind..)?;
    let ended = rest[..kind].ends_with(b" ") || rest[..kind].ends_with(b">") || rest[..kind].ends_with(b"]");
    (ended && sign.first() == Some(&b'=') && sign.get(1) != Some(&b'=')).then_some(start + kind + 1)
}

/// `("value"`, `, "value"`: an argument of a function.
fn argument(text: &[u8], reach: &[u8], at: usize) -> Option<Value> {
    let start = at + gap(reach, at);
    quoted(text, reach, start)
}

/// `API key (staging): value`.
fn aside(text: &[u8], reach: &[u8], at: usize) -> Option<Value> {
    let closed =
        reach.get(at..)?.iter().take(40).take_while(|byte| **byte != b'\n').position(|byte| *byte == b')')?;
    let behind = at + closed + 1;
    let next = behind + spaces(reach, behind);
    match sign(reach, next) {
        Some(sign) => given(text, reach, next + sign),
        None => spoken(text, reach, behind, next),
    }
}

/// The value of a pair in which the name is a value too: `- name: API_TOKEN` / `value: …`, `name="ApiToken" value="…"`,
/// `"key": "API_TOKEN", "value": "…"`, `<key>ApiToken</key><string>…`.
fn pair_value(text: &[u8], reach: &[u8], at: usize) -> Option<Value> {
    let mut next = at
        + reach
            .get(at..)?
            .iter()
            .take(40)
            .take_while(|byte| byte.is_ascii_whitespace() || b",;/>".contains(byte))
            .count();
    if next == at && !before_is(reach, at, b">") {
        return None;
    }
    let rest = &reach[next..];
    for tag in [&b"<string>"[..], b"<value>", b"<Value>", b"<secret>"] {
        if rest.starts_with(tag) {
            return element_content(text, next + tag.len());
        }
    }
    next += rest.iter().take(3).take_while(|byte| b"<\"'-".contains(byte)).count();
    let word = [&b"value"[..], b"Value", b"val", b"content", b"string", b"default"]
        .into_iter()
        .find(|word| reach[next..].starts_with(word))?;
    next += word.len();
    next += reach.get(next..)?.iter().take(2).take_while(|byte| b"\"'".contains(byte)).count();
    next += spaces(reach, next);
    match reach.get(next) {
        Some(b'=' | b':') => given(text, reach, next + 1),
        _ => None,
    }
}

/// Longest gap of empty lines and code marks between a name and a value below it, bytes.
const BELOW_BYTES_MAX: usize = 64;

/// A value on a line of its own below the line of its name, such as a code block below a heading.
fn below(text: &[u8], reach: &[u8], at: usize) -> Option<Value> {
    let rest = reach.get(at..)?;
    let blank = rest.iter().take(BELOW_BYTES_MAX).take_while(|byte| byte.is_ascii_whitespace()).count();
    if !rest[..blank].contains(&b'\n') {
        return None;
    }
    let mut start = at + blank;
    if let Some(fence) = reach[start..].strip_prefix(b"```") {
        let language = fence.iter().take(16).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        start += 3 + language;
        start += gap(reach, start);
    }
    let value = bare(text, start, Said::Behind)?;
    let line = text[value.range.end..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'`' | b'\r'));
    let end = value.range.end + line.take(BELOW_BYTES_MAX).count();
    matches!(text.get(end), None | Some(b'\n')).then_some(value)
}

/// The value of a pair that precedes its name: `value: …` / `name: API_TOKEN`.
pub(super) fn paired_before(text: &[u8], name: usize) -> Option<Value> {
    let from = name.saturating_sub(VALUE_BYTES_MAX);
    let lead = without(&text[from..name], b"\"'`\\");
    let lead = lead.trim_ascii_end();
    let lead =
        without(lead.strip_suffix(b":").or_else(|| lead.strip_suffix(b"="))?.trim_ascii_end(), b"\"'\\");
    let lead = [&b"name"[..], b"Name", b"key", b"Key"].iter().find_map(|word| lead.strip_suffix(*word))?;
    if !lead.last().is_some_and(|byte| byte.is_ascii_whitespace() || b"\"',{-<\\".contains(byte)) {
        return None;
    }
    let lead = lead.trim_ascii_end();
    let lead = without(lead, b"\"'{-,\\ \t\r\n");
    let start = lead.windows(5).rposition(|word| word.eq_ignore_ascii_case(b"value"))? + 5;
    let marks =
        |at: usize, marks: &[u8]| lead[at..].iter().take(4).take_while(|byte| marks.contains(byte)).count();
    let sign = start + marks(start, b"\"'\\ ");
    lead.get(sign).filter(|byte| b":=".contains(byte))?;
    let open = sign + 1 + marks(sign + 1, b" \t");
    let begin = open + marks(open, b"\"'\\");
    let value = lead.get(begin..)?;
    let one = !value.is_empty() && !value.iter().any(|byte| byte.is_ascii_whitespace());
    let range = from + begin..from + lead.len();
    one.then_some(Value { range, quoted: begin > open, said: Said::Given })
}

fn without<'t>(text: &'t [u8], marks: &[u8]) -> &'t [u8] {
    let end = text.iter().rposition(|byte| !marks.contains(byte)).map_or(0, |at| at + 1);
    &text[..end]
}

/// The text content of an XML or HTML element.
fn element_content(text: &[u8], at: usize) -> Option<Value> {
    let start = at + gap(text, at);
    let len = text[start..].iter().take(VALUE_BYTES_MAX).position(|byte| *byte == b'<')?;
    // Text without an end tag after it is not in an element: `#include <pwd.h>`, `Vec<Token>`.
    if !text[start + len..].starts_with(b"</") {
        return None;
    }
    let end = start + text[start..start + len].trim_ascii_end().len();
    (end > start).then_some(Value { range: start..end, quoted: true, said: Said::Given })
}

/// A value in a sentence: `is value`, `for staging is value`, `string = value`, `- value`; or a value after just a
/// space.
fn spoken(text: &[u8], reach: &[u8], at: usize, start: usize) -> Option<Value> {
    let line = reach[start..].iter().position(|byte| *byte == b'\n').map_or(reach.len(), |len| start + len);
    let line = &reach[..line];
    if let Some(is) = behind_is(line, start) {
        return given(text, reach, is);
    }
    if let Some(typed) = behind_type(line, at) {
        return given(text, reach, typed);
    }
    if let Some(quoted) = quoted(text, reach, start) {
        return Some(Value { said: Said::Behind, ..quoted });
    }
    let dash = [&b"- "[..], b"-- ", b"~ "]
        .iter()
        .find(|dash| line[start..].starts_with(dash))
        .map_or(0, |dash| dash.len());
    let start = start + dash;
    quoted(text, reach, start)
        .map(|value| Value { said: Said::Behind, ..value })
        .or_else(|| bare(text, start, Said::Behind))
}

/// Words after `is` that may precede the value.
const LATER_WORDS: [&[u8]; 4] = [b" now", b" set to", b" still", b" currently"];
/// Maximum number of words between a name and the `is` after it.
const PHRASE_WORDS_MAX: usize = 7;

/// Words that may start a qualifying phrase after the name.
// `xx` and `xxx` stand for short lower-case words in Cyrillic script.
#[rustfmt::skip]
const PHRASE_WORDS: [&[u8]; 27] = [
    b"for", b"of", b"on", b"in", b"from", b"at", b"used", b"we", b"i", b"you", b"they", b"that", b"here",
    b"set", b"changed", b"reset", b"fur", b"para", b"pour", b"von", b"voor", b"de", b"do", b"da", b"del", b"xx", b"xxx",
];

/// Position where the value starts, after `is`, `was`, `set to` or a sign that follows a few words: `for staging is`,
/// `of the bot:`.
fn behind_is(line: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut last = Vec::new();
    for place in 0..PHRASE_WORDS_MAX {
        let len = line.get(at..)?.iter().take(32).take_while(|byte| !byte.is_ascii_whitespace()).count();
        let word = &line[at..at + len];
        let bare = word.strip_suffix(b":").or_else(|| word.strip_suffix(b"=")).unwrap_or(word);
        let lower = bare.to_ascii_lowercase();
        at += len;
        let is = match &lower[..] {
            b"is" | b"was" | b"are" | b"equals" | b"ist" | b"es" | b"est" | b"lautet" | b"e" | b"ar"
            | b"je" | b"er" | b"la" => true,
            b"to" => [&b"set"[..], b"changed", b"reset"].contains(&&last[..]),
            _ => place > 0 && bare.len() < word.len(),
        };
        if is {
            let more = LATER_WORDS.iter().find(|more| line[at..].starts_with(more));
            return Some(at + more.map_or(0, |more| more.len()));
        }
        let phrase = place > 0 || PHRASE_WORDS.contains(&&lower[..]);
        if len == 0 || !phrase || word.ends_with(b".") {
            return None;
        }
        last = lower;
        at += spaces(line, at);
    }
    None
}

/// A quoted text with an optional prefix: `@"…"`, `b'…'`, `Some("…")`, `new Secret("…")`, `\"…\"`.
fn quoted(text: &[u8], reach: &[u8], at: usize) -> Option<Value> {
    let rest = reach.get(at..)?;
    let lead =
        rest.iter().take(48).take_while(|byte| is_word(**byte) || b":.( @$&!\\[".contains(byte)).count();
    let quote = *rest.get(lead).filter(|byte| b"\"'`".contains(byte))?;
    let opens = lead == 0
        || b"(@$\\[ ".contains(&rest[lead - 1])
        || (lead <= 2 && rest[..lead].iter().all(|byte| b"brfuRBFUL".contains(byte)));
    // If words precede the quote, they must form a call such as `Some(`; otherwise the quoted text is not the value.
    let named = rest[..lead].iter().any(u8::is_ascii_alphabetic);
    let spaced = rest[..lead].contains(&b' ') && !rest[..lead].starts_with(b"new ");
    let call = !named || lead <= 2 || (rest[..lead].contains(&b'(') && !spaced);
    if !opens || !call {
        return None;
    }
    let escaped = lead > 0 && rest[lead - 1] == b'\\';
    let tripled = rest[lead..].starts_with(&[quote; 3]);
    let start = at + lead + if tripled { 3 } else { 1 };
    let body = &text[start..text.len().min(start + VALUE_BYTES_MAX)];
    let mut end = 0;
    while end < body.len() && body[end] != quote && (body[end] != b'\n' || tripled) {
        if body[end] == b'\\' {
            if escaped {
                break;
            }
            end += 1;
        }
        end += 1;
    }
    let end = end.min(body.len());
    (end > 0).then_some(Value { range: start..start + end, quoted: true, said: Said::Given })
}

/// An unquoted value: the text up to a space or to a mark that ends the value.
fn bare(text: &[u8], at: usize, said: Said) -> Option<Value> {
    let start = at + spaces(text, at);
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`,;<>".contains(byte) || *byte < b' ';
    let body = &text[start.min(text.len())..text.len().min(start + VALUE_BYTES_MAX)];
    let len = body.iter().position(ends).unwrap_or(body.len());
    (len > 0).then_some(Value { range: start..start + len, quoted: false, said })
}
