//! Detects secrets in structured formats: PEM blocks, plain and in base64, and Kubernetes manifests.

use std::ops::Range;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::bytes::Regex;

use super::boundary::is_word;
use super::value::{is_placeholder, is_row, is_template, mixed};

/// Minimum number of base64 characters that count as the start of a key. The shortest key, an Ed25519 key, has 64.
const BODY_CHARS_MIN: usize = 40;
/// Number of bytes after the first line of a PEM block that are searched for its key.
const BODY_BYTES_MAX: usize = 1024;
/// Number of bytes before and after `kind: Secret` that are searched for its data.
const MANIFEST_BYTES_MAX: usize = 16 << 10;
/// Minimum length of a value in a Secret that counts as a secret, bytes.
const VALUE_BYTES_MIN: usize = 6;

/// Accepts a PEM block of a private key if the block contains a key and not a placeholder.
pub(super) fn private_key(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let rest = &text[found.end..text.len().min(found.end + BODY_BYTES_MAX)];
    let mut body = Vec::with_capacity(BODY_BYTES_MAX);
    for line in rest.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.starts_with(b"-----") || body.len() >= BODY_CHARS_MIN * 2 {
            break;
        }
        // `Proc-Type: 4,ENCRYPTED`, `Version: …`: headers that PEM and PGP put before the key are skipped.
        let header = line.iter().position(|byte| *byte == b':').is_some_and(|at| {
            line[..at].iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'-')
                && line.get(at + 1) == Some(&b' ')
        });
        if !header {
            body.extend(
                line.split(|byte| b" \t\\\"'+,;>|*#".contains(byte))
                    .flat_map(|part| encoded_run(part).iter().copied()),
            );
            // Quotes, comments and the operators of other languages may split a key; a series of words is not a key.
            if line.contains(&b' ') && body.len() < BODY_CHARS_MIN && words(line) {
                body.clear();
            }
        }
    }
    (body.len() >= BODY_CHARS_MIN && mixed(&body) && !is_row(&body)).then_some(found)
}

fn words(line: &[u8]) -> bool {
    line.split(|byte| *byte == b' ').filter(|word| word.len() > 1).all(|word| word.len() < 24 && !mixed(word))
}

/// Returns `part` if it consists of base64 characters only, otherwise an empty slice. The `n` of an escaped `\n` may
/// precede them.
fn encoded_run(part: &[u8]) -> &[u8] {
    let len = part.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=_".contains(byte)).count();
    if len == part.len() { part } else { &part[..0] }
}

fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&STANDARD, lenient).decode(text).ok()
}

/// Accepts base64 of a text that starts like a PEM block of a private key, as in `client-key-data:`.
pub(super) fn encoded_private_key(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    let first = &text[found.start..found.end.min(found.start + 64)];
    let said = decoded(&first[..first.len() / 4 * 4])?;
    let key = b"PRIVATE KEY";
    said.windows(key.len()).any(|part| part == key).then_some(found)
}

/// Ranges of the values of `data` and `stringData` in Kubernetes manifests of kind Secret.
pub(super) fn manifest_values(text: &[u8], kind: &Regex) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut done = 0;
    for kind in kind.find_iter(text) {
        if kind.start() < done {
            continue;
        }
        let from = done.max(kind.start().saturating_sub(MANIFEST_BYTES_MAX));
        let start = last_of(&text[from..kind.start()], b"\n---").map_or(from, |at| from + at);
        let limit = text.len().min(kind.end() + MANIFEST_BYTES_MAX);
        let end = first_of(&text[kind.end()..limit], b"\n---").map_or(limit, |at| kind.end() + at);
        done = end;
        values_of(text, start..end, &mut found);
    }
    found
}

fn first_of(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|part| part == mark)
}

fn last_of(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).rposition(|part| part == mark)
}

/// Adds to `found` the values of the pairs below `data:` and `stringData:` in a YAML or JSON document.
fn values_of(text: &[u8], document: Range<usize>, found: &mut Vec<Range<usize>>) {
    for (name, plain) in [(&b"data"[..], false), (b"stringData", true)] {
        let mut at = document.start;
        while let Some(next) = first_of(&text[at..document.end], name) {
            let begin = at + next;
            at = begin + name.len();
            let alone = begin == 0 || !is_word(text[begin - 1]);
            let mut open = at;
            while open < document.end && b"\" ".contains(&text[open]) {
                open += 1;
            }
            if !alone || text.get(open) != Some(&b':') {
                continue;
            }
            let line = last_of(&text[..begin], b"\n").map_or(0, |at| at + 1);
            let indent = text[line..begin].iter().take_while(|byte| **byte == b' ').count();
            pairs(text, open + 1..document.end, (plain, indent), found);
        }
    }
}

fn pairs(text: &[u8], part: Range<usize>, (plain, indent): (bool, usize), found: &mut Vec<Range<usize>>) {
    let mut at = part.start;
    let body = &text[part.clone()];
    let json = body.trim_ascii_start().first() == Some(&b'{');
    let end = if json { body.iter().position(|byte| *byte == b'}') } else { None }.unwrap_or(body.len());
    // Whether lines without a key continue a multi-line text.
    let mut block = false;
    for line in body[..end].split(|byte| *byte == b'\n' || (json && *byte == b',')) {
        let range = at..at + line.len();
        at = range.end + 1;
        if line.trim_ascii().is_empty() || line.trim_ascii() == b"{" {
            continue;
        }
        // The next key at the level of `data` ends the data.
        let deeper = line.iter().take_while(|byte| **byte == b' ').count() > indent;
        if !json && !deeper && range.start > part.start {
            break;
        }
        let lead = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => colon + 1,
            None if block => 0,
            None => continue,
        };
        let rest = &line[lead..];
        let start = range.start + lead + rest.len() - rest.trim_ascii_start().len();
        let start = start + usize::from(b"\"'".contains(&text[start.min(text.len() - 1)]));
        let value = trimmed(rest.trim_ascii());
        block = matches!(value, b"|" | b">" | b"|-" | b">-" | b"|+" | b">+") || (block && lead == 0);
        if is_secret_value(value, plain) {
            found.push(start..start + value.len());
        }
    }
}

/// A quoted value without its quotes; any other value up to a space or a bracket. A `#` does not end it, because it
/// starts a comment only after a space.
fn trimmed(value: &[u8]) -> &[u8] {
    let quote = value.first().copied().filter(|first| b"\"'".contains(first));
    let inner = if quote.is_some() { &value[1..] } else { value };
    let ends = |byte: &u8| quote.map_or(b"\"' }".contains(byte), |quote| *byte == quote);
    let end = inner.iter().position(ends).unwrap_or(inner.len());
    &inner[..end]
}

fn is_secret_value(value: &[u8], plain: bool) -> bool {
    if is_template(value) || is_placeholder(value) || is_row(value) {
        return false;
    }
    if plain {
        let marks = value.iter().any(|byte| b"!#$%^&*+?@~".contains(byte));
        let letters = value.iter().any(u8::is_ascii_alphabetic);
        return value.len() >= VALUE_BYTES_MIN && letters && (mixed(value) || marks);
    }
    value.len().is_multiple_of(4)
        && decoded(value).is_some_and(|said| {
            said.len() >= VALUE_BYTES_MIN && !is_placeholder(&said) && !is_template(&said)
        })
}
