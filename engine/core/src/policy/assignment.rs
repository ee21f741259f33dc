//! Values that are given to a name: in the syntaxes of programming languages, configuration files, markup, command lines
//! and sentences. A pattern finds the names; what stands between a name and its value is read here, within a
//! bound, so that a text costs what it is long.

use std::ops::Range;

use regex::bytes::Regex;

use super::detector::is_word;
use super::value::{Said, is_password, is_token};

/// Names of passwords.
pub(super) const PASSWORD_NAMES: &str = r"(?i)password|passwd|passphrase|passcode|passwort|kennwort|contrasena|mot de passe|pwd|[_-]pw\b|(?:\b|[_-]|(?-i:[a-z])(?-i:P)|store|key|require|master|ssh|user|root|admin|db|mysql|pg|ftp|smtp|mail|wifi|(?-i:[a-z0-9]))pass\b|masterauth";
/// Names of keys and tokens.
pub(super) const TOKEN_NAMES: &str = r"(?i)(?:api|app|application|access|auth|client|consumer|customer|encryption|decryption|deploy|functions?|integration|license|master|ops|private|project|admin|root|rest|sas|secret|security|server|service|session|shared|signing|storage|webhook|account|subscription|user|write|ingest|instrumentation|sdk|hmac|jwt)[_ .-]{0,2}keys?|secret|token|credential|auth[_-]?key|(?:api|access|auth)[_ .-]?code|bearer";
/// Words in front of a name, joined to it, that make it the name of something that opens nothing.
const NO_SECRETS: [&str; 24] = [
    "page",
    "next",
    "nextpage",
    "sync",
    "continuation",
    "cursor",
    "resume",
    "public",
    "max",
    "num",
    "total",
    "prompt",
    "completion",
    "idempotency",
    "request",
    "correlation",
    "cancellation",
    "clientrequest",
    "trace",
    "lock",
    "fencing",
    "lease",
    "device",
    "cache",
];
/// Words behind a name, joined to it, that do the same.
const OF_SECRETS: [&str; 40] = [
    "id",
    "ids",
    "name",
    "names",
    "url",
    "uri",
    "path",
    "file",
    "type",
    "count",
    "counts",
    "length",
    "len",
    "limit",
    "ttl",
    "expiry",
    "expires",
    "expiration",
    "at",
    "policy",
    "field",
    "arn",
    "ref",
    "version",
    "hint",
    "label",
    "status",
    "usage",
    "budget",
    "class",
    "env",
    "size",
    "index",
    "algorithm",
    "endpoint",
    "provider",
    "store",
    "format",
    "mode",
    "scope",
];
/// How far behind a name its value is looked for, bytes.
const REACH_BYTES: usize = 120;
/// Longest value, bytes.
const VALUE_BYTES_MAX: usize = 512;
/// Longest name around the words that make it one, bytes.
const NAME_BYTES_MAX: usize = 64;
/// Signs that give a value, longest first.
const SIGNS: [&[u8]; 19] = [
    b":::=", b"||=", b"??=", b"===", b"!==", b"::=", b"?=", b"|=", b".=", b"+=", b"==", b"!=", b":=", b"=>",
    b"||", b"<-", b"=", b":", b"|",
];

/// A value and how it stands there.
#[derive(Debug, Clone)]
struct Value {
    range: Range<usize>,
    /// Between quotes, or the content of an element.
    quoted: bool,
    said: Said,
}

/// Every password that is given to a name.
pub(super) fn passwords(text: &[u8], names: &Regex) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for name in names.find_iter(text) {
        let Some(name) = Name::around(text, name.range()) else { continue };
        for value in name.values(text) {
            let range = without_marks(text, &value);
            if is_password(&text[range.clone()], value.quoted, value.said) {
                push(&mut found, range);
            }
        }
    }
    found
}

/// Every key or token that is given to a name.
pub(super) fn tokens(text: &[u8], names: &Regex) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for name in names.find_iter(text) {
        let Some(name) = Name::around(text, name.range()) else { continue };
        for value in name.values(text) {
            let pieces = pieces(text, &value);
            let given = pieces.into_iter().find(|piece| {
                let token = &text[piece.clone()];
                // What goes on as code is a name: a call, an index, a path of a package.
                let code = !value.quoted && matches!(text.get(piece.end), Some(b'(' | b'[' | b'{'));
                let chosen = value.quoted
                    && value.said == Said::Given
                    && several_kinds(token)
                    && is_password(token, true, Said::Behind);
                !code && (is_token(token, value.said, name.owned) || chosen)
            });
            if let Some(given) = given {
                push(&mut found, given);
            }
        }
    }
    found
}

fn push(found: &mut Vec<Range<usize>>, range: Range<usize>) {
    if found.last().is_none_or(|last| last.end <= range.start) {
        found.push(range);
    }
}

/// Small letters, capitals, digits and marks, three of these or more: a name of something has fewer.
fn several_kinds(token: &[u8]) -> bool {
    let marks = token.iter().any(|byte| b"!#$%^&*+?@~|(){}[]<>".contains(byte));
    let kinds = [
        token.iter().any(u8::is_ascii_lowercase),
        token.iter().any(u8::is_ascii_uppercase),
        token.iter().any(u8::is_ascii_digit),
        marks,
    ];
    marks && !token.contains(&b' ') && kinds.iter().filter(|kind| **kind).count() >= 3
}

/// A name, whole, of which a pattern found a part.
struct Name {
    start: usize,
    end: usize,
    /// Whether the name says whose it is: `api_key`, `HEROKU_TOKEN`, not `token` alone.
    owned: bool,
}

impl Name {
    /// The name around a word, if that is what it names: not `tokenizer`, `passenger`, `token_count`, `secret_name`.
    fn around(text: &[u8], word: Range<usize>) -> Option<Name> {
        let joins = |byte: u8| is_word(byte) || byte == b'-';
        let rest = text[word.end..].iter().take(NAME_BYTES_MAX).take_while(|byte| joins(**byte)).count();
        let mut end = word.end + rest;
        // `api.token.staging`, but not the end of a sentence.
        while text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_lowercase) {
            let more = text[end + 1..].iter().take(NAME_BYTES_MAX).take_while(|byte| joins(**byte)).count();
            end += 1 + more;
            if end - word.end > NAME_BYTES_MAX {
                return None;
            }
        }
        let suffix = &text[word.end..end];
        let plural = suffix.eq_ignore_ascii_case(b"s");
        let small = text[word.end - 1].is_ascii_lowercase();
        let begins = suffix.first().is_none_or(|first| {
            !first.is_ascii_alphabetic() || (small && first.is_ascii_uppercase()) || plural
        });
        let lead = text[..word.start]
            .iter()
            .rev()
            .take(NAME_BYTES_MAX)
            .take_while(|byte| joins(**byte) || **byte == b'.')
            .count();
        let start = word.start - lead;
        let before = last_word(&text[start..word.start]);
        let behind = last_word(suffix);
        let secret_id = text[word.clone()].eq_ignore_ascii_case(b"secret") && behind == b"id";
        let named = |words: &[&str], word: &[u8]| words.iter().any(|known| known.as_bytes() == word);
        let otherwise = named(&NO_SECRETS, &before) || (named(&OF_SECRETS, &behind) && !secret_id);
        let alone = [&b"secret"[..], b"token", b"credential", b"bearer"];
        let compound = !alone.iter().any(|name| text[word.clone()].eq_ignore_ascii_case(name));
        let owned = secret_id || compound || !before.is_empty();
        (begins && !otherwise).then_some(Name { start, end, owned })
    }

    /// What is given to it: one value, or none; or the one that it is compared with, which stands before it.
    fn values(&self, text: &[u8]) -> Vec<Value> {
        let mut values = Vec::new();
        values.extend(self.behind(text));
        values.extend(self.compared(text));
        values
    }

    /// `if ("value" == name)`.
    fn compared(&self, text: &[u8]) -> Option<Value> {
        let lead = text[self.start.saturating_sub(VALUE_BYTES_MAX)..self.start].trim_ascii_end();
        let lead = lead.strip_suffix(b"=").or_else(|| lead.strip_suffix(b"is the"))?;
        let lead = [&b"=="[..], b"!=", b"=", b"!"]
            .iter()
            .find_map(|sign| lead.strip_suffix(*sign))
            .unwrap_or(lead)
            .trim_ascii_end();
        let quote = *lead.last().filter(|byte| b"\"'`".contains(byte))?;
        let inner = &lead[..lead.len() - 1];
        let open = inner
            .iter()
            .rposition(|byte| *byte == quote || *byte == b'\n')
            .filter(|at| inner[*at] == quote)?;
        let offset = self.start - text[self.start.saturating_sub(VALUE_BYTES_MAX)..self.start].len();
        Some(Value { range: offset + open + 1..offset + inner.len(), quoted: true, said: Said::Given })
    }

    fn behind(&self, text: &[u8]) -> Option<Value> {
        let reach = &text[..text.len().min(self.end + REACH_BYTES)];
        let element = before_is(text, self.start, b"<");
        if element && reach.get(self.end) == Some(&b'>') {
            return element_content(text, self.end + 1);
        }
        let (at, closed) = closers(reach, self.end);
        let gap = at + spaces(reach, at);
        if let Some(value) = pair_value(text, reach, at) {
            return Some(value);
        }
        if let Some(sign) = sign(reach, gap) {
            return given(text, reach, gap + sign);
        }
        match reach.get(gap) {
            Some(b',') if closed => argument(text, reach, gap + 1),
            Some(b',') => bare(text, gap + 1, Said::Behind),
            Some(b'(') if gap == at => argument(text, reach, gap + 1).or_else(|| aside(text, reach, gap)),
            Some(b'(') => aside(text, reach, gap),
            Some(_) if gap > at => spoken(text, reach, at, gap),
            _ => None,
        }
    }
}

/// The last of the words that a name is joined of, in lower case: `nextPage` and `next_page_` give `page`.
fn last_word(name: &[u8]) -> Vec<u8> {
    let end = name.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |at| at + 1);
    let name = &name[..end];
    let joined = name.iter().rposition(|byte| !byte.is_ascii_alphabetic()).map_or(0, |at| at + 1);
    let hump =
        (1..name.len()).rev().find(|at| name[*at].is_ascii_uppercase() && name[*at - 1].is_ascii_lowercase());
    name[joined.max(hump.unwrap_or(0))..].to_ascii_lowercase()
}

fn before_is(text: &[u8], at: usize, mark: &[u8]) -> bool {
    text[..at].ends_with(mark)
}

fn spaces(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take(16).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Spaces, and the break of one line.
fn gap(text: &[u8], at: usize) -> usize {
    let mut breaks = 0;
    let blank = |byte: &&u8| {
        breaks += usize::from(**byte == b'\n');
        byte.is_ascii_whitespace() && breaks < 2
    };
    text.get(at..).unwrap_or_default().iter().take(40).take_while(blank).count()
}

/// Quotes and brackets behind a name: `"]`, `**`, `[25]`, `</b>`. Gives where they end, and whether a quote was among them.
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

/// Bytes of the sign that gives a value, if one stands here.
fn sign(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    // `Token::parse` is a path.
    if rest.starts_with(b"::") && !rest.starts_with(b"::=") && !rest.starts_with(b":::=") {
        return None;
    }
    SIGNS.iter().find(|sign| rest.starts_with(sign)).map(|sign| sign.len())
}

/// The value behind a sign: quoted, bare, on the next line, or behind the name of a type and another sign.
fn given(text: &[u8], reach: &[u8], at: usize) -> Option<Value> {
    if let Some(typed) = behind_type(reach, at) {
        return given(text, reach, typed);
    }
    let block = at + spaces(reach, at);
    // YAML's texts of several lines.
    let block = match reach.get(block..) {
        Some([b'|' | b'>', b'-' | b'+', b'\n', ..]) => block + 2,
        Some([b'|' | b'>', b'\n', ..]) => block + 1,
        _ => block,
    };
    let mut start = block + gap(reach, block);
    // `**name:** value`
    start += reach.get(start..)?.iter().take(2).take_while(|byte| **byte == b'*').count();
    start += spaces(reach, start);
    quoted(text, reach, start).or_else(|| bare(text, start, Said::Given))
}

/// `: string =`, `: Option<&str> =`, `: SecretStr =`: where the value begins.
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

/// `("value"`, `, "value"`: what is given to a function.
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

/// The value of a pair whose name is a value itself: `- name: API_TOKEN` / `value: …`, `name="ApiToken" value="…"`, `"key":
/// "API_TOKEN", "value": "…"`, `<key>ApiToken</key><string>…`.
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

/// The words of an element of XML or HTML.
fn element_content(text: &[u8], at: usize) -> Option<Value> {
    let start = at + gap(text, at);
    let len = text[start..].iter().take(VALUE_BYTES_MAX).position(|byte| *byte == b'<')?;
    let end = start + text[start..start + len].trim_ascii_end().len();
    (end > start).then_some(Value { range: start..end, quoted: true, said: Said::Given })
}

/// A sentence: `is value`, `for staging is value`, `string = value`, `- value`; or nothing but a space.
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

/// Words behind `is` that may stand before the value.
const LATER_WORDS: [&[u8]; 4] = [b" now", b" set to", b" still", b" currently"];
/// Most words between a name and its `is`.
const PHRASE_WORDS_MAX: usize = 7;

/// Words that tell which one is meant.
const PHRASE_WORDS: [&[u8]; 16] = [
    b"for", b"of", b"on", b"in", b"from", b"at", b"used", b"we", b"i", b"you", b"they", b"that", b"here",
    b"set", b"changed", b"reset",
];

/// Where the value begins behind `is`, `was`, `set to` or a sign that ends a few words: `for staging is`, `of the bot:`.
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
            b"is" | b"was" | b"are" | b"equals" | b"ist" | b"es" | b"est" => true,
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

/// A text between quotes, with what may stand before it: `@"…"`, `b'…'`, `Some("…")`, `new Secret("…")`, `\"…\"`.
fn quoted(text: &[u8], reach: &[u8], at: usize) -> Option<Value> {
    let rest = reach.get(at..)?;
    let lead =
        rest.iter().take(48).take_while(|byte| is_word(**byte) || b":.( @$&!\\[".contains(byte)).count();
    let quote = *rest.get(lead).filter(|byte| b"\"'`".contains(byte))?;
    let opens = lead == 0
        || b"(@$\\[ ".contains(&rest[lead - 1])
        || (lead <= 2 && rest[..lead].iter().all(|byte| b"brfuRBFUL".contains(byte)));
    // Words before the quote must be a call, or it belongs to something else.
    let call = rest[..lead].iter().all(|byte| !byte.is_ascii_alphabetic())
        || rest[..lead].contains(&b'(')
        || lead <= 2
        || rest[..lead].starts_with(b"new ");
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

/// A text up to a space or a mark that ends it.
fn bare(text: &[u8], at: usize, said: Said) -> Option<Value> {
    let start = at + spaces(text, at);
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`,;<>".contains(byte) || *byte < b' ';
    let body = &text[start.min(text.len())..text.len().min(start + VALUE_BYTES_MAX)];
    let len = body.iter().position(ends).unwrap_or(body.len());
    (len > 0).then_some(Value { range: start..start + len, quoted: false, said })
}

/// Without what ends a sentence or a list.
fn without_marks(text: &[u8], value: &Value) -> Range<usize> {
    let mut range = value.range.clone();
    if value.quoted {
        return range;
    }
    if let Some(end) = text[range.clone()].iter().position(|byte| *byte == b'&') {
        range.end = range.start + end;
    }
    while !range.is_empty() && b".,)?]}*:\\".contains(&text[range.end - 1]) {
        range.end -= 1;
    }
    range
}

/// The words of a value, each of which may be the token.
fn pieces(text: &[u8], value: &Value) -> Vec<Range<usize>> {
    let parts = |byte: &u8| byte.is_ascii_whitespace() || b"{}\"'`,;".contains(byte);
    let mut pieces = Vec::new();
    if value.quoted && !text[value.range.clone()].iter().any(parts) {
        return vec![value.range.clone()];
    }
    let mut start = value.range.start;
    for part in text[value.range.clone()].split(parts) {
        let range = start..start + part.len();
        start = range.end + 1;
        let range = without_marks(text, &Value { range, quoted: false, said: value.said });
        if !range.is_empty() {
            pieces.push(range);
        }
    }
    pieces
}
