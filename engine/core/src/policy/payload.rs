//! Applies the policy to JSON without parsing it into values: numbers, white space and the order of keys are preserved.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::checker::Policy;
use super::finding::{Blocked, Counts, Redacted};
use super::identifier::{Form, IdentifierError, PseudonymKey};
use super::pair::{Data, Pair};
use crate::event::Draft;
use crate::identifier_fields::{identifiers_of, is_path};

/// Maximum length of a key, bytes, that is included in field names and that can describe the value under it.
const KEY_BYTES_MAX: usize = 64;
/// Maximum length of a field name, bytes: without it, nested objects with long keys would fill logs.
const FIELD_BYTES_MAX: usize = 256;

/// An object or a list that is being read.
struct Open {
    /// Keys of an object as they are written out; `None` for a list.
    keys: Option<BTreeSet<String>>,
    /// Field name of the object or list.
    field: String,
    /// The innermost key above the values in it.
    key: String,
    /// Whether the next string is a key.
    expects_key: bool,
    /// Names and values in it that describe each other.
    pair: Pair,
    /// The part of a Kubernetes Secret that it may be.
    data: Option<Data>,
}

/// Which fields of a payload are identifiers, and the key for the tokens that replace personal data in them.
#[derive(Default)]
struct Names<'a> {
    /// Field names in the form used here, such as `namespace[]`.
    pub(super) rows: &'static [&'static str],
    pub(super) key: Option<&'a PseudonymKey>,
    /// The field that contains a path, if any.
    pub(super) is_path: Option<&'static str>,
}

struct Walk<'a> {
    policy: &'a Policy,
    names: &'a Names<'a>,
    json: &'a str,
    now: Timestamp,
    open: Vec<Open>,
    root: &'a str,
    out: String,
    /// Position in `json` up to which it was copied to `out`.
    written: usize,
    counts: Counts,
}

fn judge(
    policy: &Policy,
    field: &str,
    json: &str,
    names: &Names<'_>,
    now: Timestamp,
) -> Result<Redacted<String>, IdentifierError> {
    let mut walk = Walk {
        policy,
        names,
        json,
        now,
        open: Vec::new(),
        root: field,
        out: String::new(),
        written: 0,
        counts: Counts::default(),
    };
    walk.run()?;
    let Walk { mut out, written, counts, .. } = walk;
    let changed = (written > 0).then(|| {
        out.push_str(&json[written..]);
        out
    });
    Ok(Redacted { changed, counts })
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), IdentifierError> {
        let bytes = self.json.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                b'{' => self.begin(Some(BTreeSet::new())),
                b'[' => self.begin(None),
                b'}' | b']' => self.end()?,
                b',' => self.next(),
                b'"' => {
                    let end = string_end(bytes, at);
                    self.string(at, end)?;
                    at = end;
                    continue;
                }
                b'-' | b'0'..=b'9' => {
                    let len = bytes[at..].iter().take_while(|byte| b"+-.eE0123456789".contains(byte)).count();
                    self.number(at, at + len)?;
                    at += len;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }

    fn begin(&mut self, keys: Option<BTreeSet<String>>) {
        let field = self.open.last().map_or_else(|| self.root.to_owned(), |open| open.field_of_value());
        let key = self.open.last().map_or_else(String::new, |open| open.key.clone());
        let expects_key = keys.is_some();
        let data = if keys.is_some() { self.open.last().and_then(|open| Data::of(&open.key)) } else { None };
        self.open.push(Open { keys, field, key, expects_key, pair: Pair::default(), data });
    }

    /// Handles the end of an object or a list. Checks names with values here, because not all of them are known
    /// earlier.
    fn end(&mut self) -> Result<(), IdentifierError> {
        let Some(ended) = self.open.pop() else { return Ok(()) };
        for (field, words, text) in ended.pair.judged() {
            self.policy.refuse_secret(field, &words, text, self.now)?;
        }
        if let Some(open) = self.open.last_mut() {
            let key = std::mem::take(&mut open.key);
            open.pair.take(ended.pair, &key);
            open.key = key;
        }
        Ok(())
    }

    fn next(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.expects_key = open.keys.is_some();
        }
    }

    fn string(&mut self, start: usize, end: usize) -> Result<(), IdentifierError> {
        let text = decoded(&self.json[start..end]);
        match self.open.last() {
            Some(open) if open.expects_key => self.key(start, end, &text),
            _ => {
                let (field, words) = self.place();
                if let Some(open) = self.open.last_mut() {
                    open.pair.add(&open.key, &field, &text, open.data);
                }
                if let Some(changed) = self.judge(&field, &words, &text)? {
                    self.replace(start, end, &changed);
                }
                Ok(())
            }
        }
    }

    fn judge(&mut self, field: &str, words: &str, text: &str) -> Result<Option<String>, IdentifierError> {
        if !self.names.rows.contains(&field) {
            let judged = self.policy.judge_behind(field, words, text, self.now)?;
            self.counts.merge(&judged.counts);
            return Ok(judged.changed);
        }
        // The words before a name can make it a secret. Personal data is searched in the name alone, so that the name
        // gives the same result wherever else it occurs.
        if !words.is_empty() {
            self.policy.refuse_secret(field, words, text, self.now)?;
        }
        let form = if self.names.is_path == Some(field) { Form::Path } else { Form::Whole };
        self.policy.judge_identifier(self.names.key, (field, form), text, self.now, &mut self.counts)
    }

    /// Handles a key, which can contain the same data as a value. Two keys of an object must not become equal, because
    /// a reader would see only one of them.
    fn key(&mut self, start: usize, end: usize, text: &str) -> Result<(), IdentifierError> {
        let Some(open) = self.open.last() else { return Ok(()) };
        let field = bounded(format!("{}{}<key>", open.field, dot(&open.field)));
        let changed = self.judge(&field, "", text)?;
        let clean = changed.is_none();
        let name = changed.unwrap_or_else(|| text.to_owned());
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        let keys = open.keys.get_or_insert_default();
        let mut unique = name.clone();
        let mut count = 1;
        while keys.contains(&unique) {
            count += 1;
            unique = format!("{name} {count}");
        }
        keys.insert(unique.clone());
        open.key = if clean && shown(text) { text.to_owned() } else { String::new() };
        open.expects_key = false;
        if unique != text {
            self.replace(start, end, &unique);
        }
        Ok(())
    }

    /// Numbers are checked only under keys that describe them: card numbers, identifiers and times look the same.
    fn number(&mut self, start: usize, end: usize) -> Result<(), IdentifierError> {
        let (field, words) = self.place();
        if words.is_empty() || end - start < 6 {
            return Ok(());
        }
        let judged = self.policy.judge_behind(&field, &words, &self.json[start..end], self.now)?;
        self.counts.merge(&judged.counts);
        if let Some(changed) = judged.changed {
            self.replace(start, end, &changed);
        }
        Ok(())
    }

    /// Field name of the current value, and the words of its key, to put before the value.
    fn place(&self) -> (String, String) {
        let Some(open) = self.open.last() else { return (self.root.to_owned(), String::new()) };
        let words = if self.policy.descriptive_keys().is_match(open.key.as_bytes()) {
            words(&open.key)
        } else {
            String::new()
        };
        (open.field_of_value(), words)
    }

    fn replace(&mut self, start: usize, end: usize, text: &str) {
        self.out.push_str(&self.json[self.written..start]);
        self.out.push_str(&serde_json::to_string(text).expect("a string is always JSON"));
        self.written = end;
    }
}

impl Open {
    fn field_of_value(&self) -> String {
        match &self.keys {
            None => format!("{}[]", self.field),
            Some(_) if self.key.is_empty() => bounded(format!("{}{}<key>", self.field, dot(&self.field))),
            Some(_) => bounded(format!("{}{}{}", self.field, dot(&self.field), self.key)),
        }
    }
}

fn dot(field: &str) -> &'static str {
    if field.is_empty() { "" } else { "." }
}

/// Whether a key may appear in field names unchanged: only a key made of plain words may.
fn shown(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    key.len() <= KEY_BYTES_MAX && key.bytes().all(plain) && key.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn bounded(mut field: String) -> String {
    field.truncate(field.floor_char_boundary(FIELD_BYTES_MAX));
    field
}

/// Converts `phoneNumber` to `phoneNumber phone number: `, so that detectors find the words in it.
fn words(key: &str) -> String {
    let mut split = String::with_capacity(key.len() + 8);
    let mut small = false;
    for c in key.chars() {
        if small && c.is_ascii_uppercase() {
            split.push(' ');
        }
        small = c.is_ascii_lowercase();
        split.push(if matches!(c, '_' | '-') { ' ' } else { c.to_ascii_lowercase() });
    }
    if split == key { format!("{key}: ") } else { format!("{key} {split}: ") }
}

/// Position after the closing quotation mark of a string.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn decoded(literal: &str) -> Cow<'_, str> {
    let inner = literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default();
    if inner.contains('\\') {
        serde_json::from_str(literal).map_or(Cow::Borrowed(inner), Cow::Owned)
    } else {
        Cow::Borrowed(inner)
    }
}

impl Policy {
    /// Checks a JSON text: every string, every key of an object, and numbers under keys that describe them. The text
    /// must be in the strict form; everything that is not redacted stays the same byte for byte.
    ///
    /// A redacted key stays different from the other keys of its object.
    pub fn judge_json(&self, field: &str, json: &str, now: Timestamp) -> Result<Redacted<String>, Blocked> {
        let judged = judge(self, field, json, &Names::default(), now);
        judged.map_err(|fault| match fault {
            IdentifierError::Blocked(blocked) => blocked,
            IdentifierError::NoKey => unreachable!("without identifiers nothing takes a key"),
        })
    }

    /// Checks an event before it is written. The fields listed by [`identifiers_of`] and type, actor, project and
    /// session are checked by [`Policy::judge_identifier`]; the rest of the payload is redacted.
    pub fn judge_draft(
        &self,
        draft: Draft,
        key: Option<&PseudonymKey>,
        now: Timestamp,
    ) -> Result<(Draft, Counts), IdentifierError> {
        let Draft { kind, actor, project, session, causes, payload } = draft;
        let mut counts = Counts::default();
        let mut named = |field: &str, name: String| {
            let stored = self.judge_identifier(key, (field, Form::Whole), &name, now, &mut counts)?;
            Ok::<String, IdentifierError>(stored.unwrap_or(name))
        };
        let names = Names { rows: identifiers_of(&kind), key, is_path: is_path(&kind, &payload) };
        let kind = named("type", kind)?;
        let project = named("project", project)?;
        let session = session.map(|session| named("session", session)).transpose()?;
        let actor = named("actor", actor)?;
        let judged = judge(self, "", payload.get(), &names, now)?;
        counts.merge(&judged.counts);
        let payload = judged.changed.map_or(payload, |json| {
            RawValue::from_string(json).expect("only strings of valid JSON were replaced, by strings")
        });
        Ok((Draft { kind, actor, project, session, causes, payload }, counts))
    }
}
