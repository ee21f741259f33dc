//! Detects passwords, keys and tokens that are assigned to a name. A pattern finds the names, the module `connector`
//! parses the text between a name and its value, and the module `value` classifies the value.

use std::ops::Range;

use regex::bytes::Regex;

use super::boundary::is_word;
use super::connector::{self, VALUE_BYTES_MAX, Value};
use super::value::{Said, is_password, is_token};

/// Names of passwords.
pub(super) const PASSWORD_NAMES: &str = r"(?i)password|passwd|passphrase|passcode|passwort|kennwort|contrasena|mot de passe|pwd|[_-]pw\b|(?:\b|[_-]|store|key|require|master|ssh|user|root|admin|db|mysql|pg|ftp|smtp|mail|wifi)pass(?:\b|_|[0-9])|(?-i:[a-z0-9]Pass\b)|masterauth|\bsenha|wachtwoord(?:en)?|\bhasl[oae]m?\b|losenord(?:et)?|\bsifre(?:si|niz|m|n)?|\bparola\b|mat khau|\bhesl[oa]\b|passord(?:et)?|adgangskode(?:n)?|kodeord(?:et)?|salasana|jelszo|\bgeslo\b|\bidentified (?:with [a-z0-9_'`]{1,34} )?by\b";
/// Names of keys and tokens.
pub(super) const TOKEN_NAMES: &str = r"(?i)(?:api|app|application|access|auth|client|consumer|customer|encryption|decryption|deploy|functions?|integration|license|master|ops|private|project|admin|root|rest|sas|secret|security|server|service|session|shared|signing|storage|webhook|account|subscription|user|write|ingest|instrumentation|sdk|hmac|jwt|heroku|snyk|hubspot|launchdarkly|deepl|algolia|datadog|stripe|azure)[_ .-]{0,2}keys?|secret|token|credential|auth[_-]?key|[a-z0-9][_-]keys?\b|(?-i:[a-z0-9]Keys?\b)|(?:api|access|auth)[_ .-]?code|bearer";
/// Words that, joined to the front of a secret's name, turn it into the name of something that is not a secret.
#[rustfmt::skip]
const NO_SECRETS: &[&str] = &[
    "page", "next", "sync", "continuation", "cursor", "resume", "public", "max", "num", "total", "prompt", "completion",
    "idempotency", "request", "correlation", "cancellation", "trace", "lock", "fencing", "lease", "device",
];
/// Such words for names that end with `key`, which is also the word for lookup keys.
#[rustfmt::skip]
const NO_KEYS: &[&str] = &[
    "cache", "primary", "foreign", "partition", "sort", "range", "object", "row", "routing", "dedup", "dedupe", "lookup",
    "group", "hash", "index", "unique", "item", "map", "shard", "message", "translation", "composite", "natural", "known",
    "verification", "verify", "verifying", "pub", "fingerprint", "merge", "ordering", "registry", "config", "state", "event", "record",
    "entity", "document", "file", "path", "bucket", "prefix", "field", "column", "metric", "label", "tag", "query",
    "topic", "node", "memory", "job", "task", "build",
];
/// Words that, joined to the end of a secret's name, turn it into the name of something that is not a secret.
#[rustfmt::skip]
const OF_SECRETS: &[&str] = &[
    "id", "ids", "name", "names", "url", "uri", "path", "file", "type", "count", "counts", "length", "len",
    "limit", "ttl", "expiry", "expires", "expiration", "at", "policy", "field", "arn", "ref", "version", "hint", "label",
    "status", "usage", "budget", "class", "env", "size", "index", "algorithm", "endpoint", "provider", "store", "format", "mode",
    "scope", "config", "dir", "directory", "folder", "location", "source", "manager", "bucket", "issuer", "audience", "lifetime", "header",
];
/// Maximum length of the complete name around the matched words, bytes.
const NAME_BYTES_MAX: usize = 64;
/// Finds all passwords that are assigned to a name.
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

/// Finds all keys and tokens that are assigned to a name.
pub(super) fn tokens(text: &[u8], names: &Regex) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for name in names.find_iter(text) {
        let Some(name) = Name::around(text, name.range()) else { continue };
        for value in name.values(text) {
            let pieces = pieces(text, &value);
            let given = pieces.into_iter().find(|piece| {
                let token = &text[piece.clone()];
                // A value that is followed by code, such as a call, an index or a package path, is a name and not a
                // secret.
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

/// Whether at least three of these four kinds of character occur: lower-case letters, capitals, digits, punctuation.
/// Names of things use fewer.
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

/// A complete name around the part that a pattern matched.
struct Name {
    start: usize,
    end: usize,
    /// Whether the name tells what the secret gives access to: `api_key`, `HEROKU_TOKEN`, not `token` alone.
    owned: bool,
}

impl Name {
    /// The complete name around `word`; None if it does not name a secret, such as `tokenizer`, `passenger`,
    /// `token_count` or `secret_name`.
    fn around(text: &[u8], word: Range<usize>) -> Option<Name> {
        let joins = |byte: u8| is_word(byte) || byte == b'-';
        let rest = text[word.end..].iter().take(NAME_BYTES_MAX).take_while(|byte| joins(**byte)).count();
        let mut end = word.end + rest;
        // A full stop continues the name in `api.token.staging`, but not at the end of a sentence.
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
        let key = text[word.clone()].to_ascii_lowercase().windows(3).rposition(|part| part == b"key");
        let before = last_word(&text[start..word.start + key.unwrap_or(0)]);
        let behind = last_word(suffix);
        let secret_id = text[word.clone()].eq_ignore_ascii_case(b"secret") && behind == b"id";
        let named = |words: &[&str], word: &[u8]| words.iter().any(|known| known.as_bytes() == word);
        let alone = [&b"secret"[..], b"token", b"credential", b"bearer"];
        // Many names that end with `key`, such as `cache_key`, are not secrets: if a word such as `cache` precedes
        // `key`, only unambiguous names count.
        let any_key = key.is_some_and(|at| at <= 2);
        let otherwise = named(NO_SECRETS, &before)
            || (any_key && named(NO_KEYS, &before))
            || (named(OF_SECRETS, &behind) && !secret_id);
        let compound = !any_key && !alone.iter().any(|name| text[word.clone()].eq_ignore_ascii_case(name));
        let owned = secret_id || compound || (!any_key && !before.is_empty());
        (begins && !otherwise).then_some(Name { start, end, owned })
    }

    /// The values assigned to the name, or compared with it.
    fn values(&self, text: &[u8]) -> Vec<Value> {
        let mut values = Vec::new();
        values.extend(connector::behind(text, self.start..self.end));
        values.extend(connector::paired_before(text, self.start));
        values.extend(self.compared(text));
        values
    }

    /// A value compared with the name: `if ("value" == name)`.
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
}

/// The last word of a joined name, in lower case: `nextPage` and `next_page_` give `page`.
fn last_word(name: &[u8]) -> Vec<u8> {
    let end = name.iter().rposition(u8::is_ascii_alphabetic).map_or(0, |at| at + 1);
    let name = &name[..end];
    let joined = name.iter().rposition(|byte| !byte.is_ascii_alphabetic()).map_or(0, |at| at + 1);
    let hump =
        (1..name.len()).rev().find(|at| name[*at].is_ascii_uppercase() && name[*at - 1].is_ascii_lowercase());
    name[joined.max(hump.unwrap_or(0))..].to_ascii_lowercase()
}

/// Removes the punctuation that ends a sentence or a list.
fn without_marks(text: &[u8], value: &Value) -> Range<usize> {
    let mut range = value.range.clone();
    if value.quoted {
        return range;
    }
    // Finds the next parameter of a URL, where the value ends.
    let next = |at: &usize| {
        if text[range.start + at] != b'&' {
            return false;
        }
        let rest = &text[range.start + at + 1..range.end];
        let name = rest.iter().take(NAME_BYTES_MAX).take_while(|byte| is_word(**byte)).count();
        name > 0 && rest.get(name) == Some(&b'=') && rest.get(name + 1) != Some(&b'=')
    };
    if let Some(end) = (0..range.len()).find(next) {
        range.end = range.start + end;
    }
    while !range.is_empty() && b".,)?]}*:\\".contains(&text[range.end - 1]) {
        range.end -= 1;
    }
    range
}

/// Ranges of the words of a value; any of them may be the token.
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
