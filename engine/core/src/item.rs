//! Items: versioned values addressed by namespace and key.
//!
//! Each version has its own row, which depends on no other row. After a version is forgotten, the rows are therefore
//! exactly those of a log that never contained the version. The latest version counts; if it is a deletion, the item
//! does not exist. The version number is the sequence number of its event, which grows with every version and is never
//! reused.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::content::Table;
use crate::event::{ITEM_DELETED, ITEM_PUT, ITEM_REFRESHED};
use crate::format::EventLine;
use crate::row::{Row, Value, integer, microseconds, named};
use crate::unexpected_payload::{UnexpectedPayload, shaped};

/// Payload of an [`ITEM_PUT`] event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemPayload {
    /// Namespace, outermost segment first; segments have no full stops.
    pub namespace: Vec<String>,
    /// Key within the namespace.
    pub key: String,
    /// Any JSON value, stored byte for byte.
    pub value: Box<RawValue>,
    /// Moment at which the item expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Time to live in milliseconds, from the write and again from each read that renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Paths of the fields whose words are indexed for search; all fields when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Vec<String>>,
}

/// Payload of an [`ITEM_DELETED`] event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemDeletedPayload {
    /// Namespace of the item.
    pub namespace: Vec<String>,
    /// Key within the namespace.
    pub key: String,
}

/// Payload of an [`ITEM_REFRESHED`] event. It contains no data of the item itself, so that it reveals nothing after the
/// item was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemRefreshedPayload {
    /// Version whose expiry is extended.
    pub version: u64,
    /// New moment of expiry, which replaces the earlier one.
    pub expires_at: Timestamp,
}

/// New expiry of an item that is read at `now`; `until` is its current expiry and `ttl` its time to live. None if the
/// item has expired, has no time to live, or if the new expiry would be later by less than a tenth of the time to live.
/// Frequent reads therefore write at most ten events per time to live. All values are microseconds.
pub fn refreshed_until(until: i64, ttl: i64, now: i64) -> Option<i64> {
    let wanted = now.saturating_add(ttl);
    let is_there = now < until;
    (is_there && ttl > 0 && wanted.saturating_sub(until) >= ttl / REFRESHES_MAX).then_some(wanted)
}

/// Largest number of renewal events of one item per time to live.
const REFRESHES_MAX: i64 = 10;

/// A namespace as stored and as written in URLs: segments separated by full stops.
pub fn dotted(namespace: &[String]) -> String {
    namespace.join(".")
}

/// Row of an item event with this payload; None for other events.
///
/// Columns: seq, id, hash, project, namespace, key, actor, session, known, expires, ttl, value, words. The last two are
/// empty in the row of a deletion, and only there.
pub(crate) fn row(line: &EventLine<'_>, payload: &str) -> Result<Option<Row>, UnexpectedPayload> {
    let (namespace, key, (expires_at, ttl), value, words) = match &*line.envelope.kind {
        ITEM_PUT => {
            let ItemPayload { namespace, key, value, expires_at, ttl_ms, index } =
                shaped(line, payload, ITEM_PUT)?;
            let words = words(value.get(), index.as_deref());
            (namespace, key, (expires_at, ttl_ms), Value::Text(value.get().to_owned()), Value::Text(words))
        }
        ITEM_DELETED => {
            let ItemDeletedPayload { namespace, key } = shaped(line, payload, ITEM_DELETED)?;
            (namespace, key, (None, None), Value::Null, Value::Null)
        }
        ITEM_REFRESHED => return refreshed(line, payload).map(Some),
        _ => return Ok(None),
    };
    let envelope = &line.envelope;
    let values = vec![
        integer(envelope.seq),
        Value::Text(envelope.id.to_string()),
        Value::Blob(line.hash.0.to_vec()),
        named(&envelope.project),
        named(&dotted(&namespace)),
        named(&key),
        named(&envelope.actor),
        envelope.session.as_deref().map_or(Value::Null, named),
        Value::Integer(microseconds(envelope.time)),
        expires_at.map_or(Value::Null, |at| Value::Integer(microseconds(at))),
        ttl.map_or(Value::Null, integer),
        value,
        words,
    ];
    Ok(Some(Row { table: Table::Items, values }))
}

/// Row of a renewal of an item's expiry. Columns: seq, id, item, expires, known.
fn refreshed(line: &EventLine<'_>, payload: &str) -> Result<Row, UnexpectedPayload> {
    let ItemRefreshedPayload { version, expires_at } = shaped(line, payload, ITEM_REFRESHED)?;
    let envelope = &line.envelope;
    let values = vec![
        integer(envelope.seq),
        Value::Text(envelope.id.to_string()),
        integer(version),
        Value::Integer(microseconds(expires_at)),
        Value::Integer(microseconds(envelope.time)),
    ];
    Ok(Row { table: Table::Refreshes, values })
}

/// Searchable words of a value: its strings and integers, one per line, in key order. `index` lists the paths of the
/// fields to include; None includes all fields.
fn words(value: &str, index: Option<&[String]>) -> String {
    // The value was checked to be JSON of bounded depth before it was written, so parsing does not fail.
    let Ok(value) = serde_json::from_str::<Json>(value) else { return String::new() };
    let mut words = String::new();
    match index {
        None => gather(&value, &mut words),
        Some(paths) => paths.iter().for_each(|path| along(&value, path, &mut words)),
    }
    words
}

fn gather(value: &Json, words: &mut String) {
    let mut say = |text: &str| {
        if !words.is_empty() {
            words.push('\n');
        }
        words.push_str(text);
    };
    match value {
        Json::String(text) => say(text),
        // Fractions are left out: they have more than one spelling, and a row must be the same on every machine.
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => say(&number.to_string()),
            (None, Some(number)) => say(&number.to_string()),
            (None, None) => {}
        },
        Json::Array(items) => items.iter().for_each(|item| gather(item, words)),
        Json::Object(fields) => {
            // Sorts the fields, because the order of the map depends on build options of serde_json.
            let mut fields: Vec<(&String, &Json)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            fields.into_iter().for_each(|(_, value)| gather(value, words));
        }
        Json::Null | Json::Bool(_) => {}
    }
}

/// Adds to `words` the words of the fields that a path such as `author.name` or `chapters[*].title` leads to; `$` is
/// the complete value.
fn along(value: &Json, path: &str, words: &mut String) {
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, place) = match step.split_once('[') {
        Some((name, place)) => (name, Some(place.trim_end_matches(']'))),
        None => (step, None),
    };
    let found = if matches!(name, "" | "$") { Some(value) } else { value.get(name) };
    let Some(found) = found else { return };
    let mut go_on = |value: &Json| match rest {
        "" => gather(value, words),
        rest => along(value, rest, words),
    };
    match (place, found.as_array()) {
        (None, _) => go_on(found),
        (Some("*"), Some(items)) => items.iter().for_each(go_on),
        (Some(place), Some(items)) => {
            let place = place.parse::<usize>().ok();
            place.and_then(|place| items.get(place)).into_iter().for_each(go_on);
        }
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_texts_and_whole_numbers() {
        let value = r#"{"b":"two\nlines","a":[1,-2,2.5,true,null,{"z":"in","c":"deep"}]}"#;
        assert_eq!(words(value, None), "1\n-2\ndeep\nin\ntwo\nlines");
        assert_eq!(words(r#""alone""#, None), "alone");
        assert_eq!(words("null", None), "");
    }

    #[test]
    fn time_is_given_in_steps() {
        let (until, ttl) = (1_000, 100);
        assert_eq!(refreshed_until(until, ttl, 950), Some(1_050));
        assert_eq!(refreshed_until(until, ttl, 910), Some(1_010));
        assert_eq!(refreshed_until(until, ttl, 909), None, "less than a tenth would be gained");
        assert_eq!(refreshed_until(until, ttl, 999), Some(1_099));
        assert_eq!(refreshed_until(until, ttl, 1_000), None, "an expired item is not renewed");
        assert_eq!(refreshed_until(until, 0, 950), None);
        assert_eq!(refreshed_until(i64::MAX, i64::MAX, 950), None);
    }

    #[test]
    fn named_fields_alone_are_found() {
        let value =
            r#"{"title":"t","author":{"name":"n"},"chapters":[{"title":"one"},{"title":"two"}],"x":"y"}"#;
        let found = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            words(value, Some(&paths))
        };
        assert_eq!(found(&[]), "");
        assert_eq!(found(&["title", "author.name"]), "t\nn");
        assert_eq!(found(&["chapters[*].title"]), "one\ntwo");
        assert_eq!(found(&["chapters[1].title", "chapters[7].title", "none.at.all", "title[0]"]), "two");
        assert_eq!(found(&["$"]), words(value, None));
    }
}
