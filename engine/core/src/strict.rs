//! The only form of JSON that the engine accepts. Ambiguous JSON, which parsers could read differently, is refused.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use crate::limits::JSON_DEPTH_MAX;

mod count;
mod not_strict;
mod plain;

pub use not_strict::NotStrict;
pub(crate) use plain::plain_len;

/// Checks that `bytes` are one JSON value in UTF-8 with nothing after it, without duplicate keys in an object, with
/// finite numbers, and nested at most [`JSON_DEPTH_MAX`] levels deep.
pub fn check(bytes: &[u8]) -> Result<(), NotStrict> {
    let text = std::str::from_utf8(bytes)
        .map_err(|fault| NotStrict { reason: "not UTF-8".into(), byte: fault.valid_up_to() })?;
    check_text(text)
}

/// Same as [`check`], for client input, which may have at most [`JSON_KEYS_MAX`](crate::limits::JSON_KEYS_MAX) keys per
/// object and [`JSON_VALUES_MAX`](crate::limits::JSON_VALUES_MAX) values. Stored data is not limited in this way.
pub fn check_sent(bytes: &[u8]) -> Result<(), NotStrict> {
    count::check(bytes)?;
    check(bytes)
}

/// Same as [`check`], for bytes that are known to be UTF-8.
pub(crate) fn check_text(text: &str) -> Result<(), NotStrict> {
    if plain::is_plain(text) { Ok(()) } else { full(text) }
}

fn full(text: &str) -> Result<(), NotStrict> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let walked = Value { depth_left: JSON_DEPTH_MAX }.deserialize(&mut deserializer);
    walked.and_then(|()| deserializer.end()).map_err(|fault| not_strict(text, &fault))
}

fn not_strict(text: &str, fault: &serde_json::Error) -> NotStrict {
    let reason = fault.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
    let lines_before = fault.line().saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    NotStrict { reason, byte: (start + fault.column()).min(text.len()) }
}

/// Checks one value while it is parsed. Keeps nothing in memory but the keys of the enclosing objects.
#[derive(Clone, Copy)]
struct Value {
    depth_left: usize,
}

impl Value {
    fn deeper<E: de::Error>(self) -> Result<Value, E> {
        let depth_left = self
            .depth_left
            .checked_sub(1)
            .ok_or_else(|| E::custom(format_args!("nested deeper than {JSON_DEPTH_MAX} levels")))?;
        Ok(Value { depth_left })
    }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut keys = BTreeSet::new();
        while let Some(key) = entries.next_key::<std::borrow::Cow<'de, str>>()? {
            if !keys.insert(key) {
                return Err(de::Error::custom("an object names a key twice"));
            }
            entries.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(text: &[u8], reason: &str) {
        let fault = check(text).expect_err("must be refused");
        assert!(fault.reason.contains(reason), "{fault}");
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_refused() {
        check_refused(br#"{"a":1,"a":2}"#, "twice");
        check_refused(br#"{"a":1,"\u0061":2}"#, "twice");
        check_refused(br#"[{"b":{"a":1,"a":1}}]"#, "twice");
        check_refused(b"{\"a\":\"\xff\"}", "UTF-8");
        check_refused(br#"{"a":NaN}"#, "expected value");
        check_refused(br#"{"a":1e999}"#, "out of range");
        check_refused(br#"{"a":1} x"#, "trailing");
        check_refused(br#"{"a":1}{}"#, "trailing");
        check_refused(b"\xef\xbb\xbf{}", "expected value");
        check_refused(br#"{"a":"\ud800"}"#, "hex escape");
        check_refused(b"", "EOF");
    }

    #[test]
    fn depth_is_bounded_before_the_stack_is() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert_eq!(check(&nested(JSON_DEPTH_MAX)), Ok(()));
        check_refused(&nested(JSON_DEPTH_MAX + 1), "deeper");
        check_refused(&nested(1_000_000), "deeper");
    }

    #[test]
    fn plain_json_is_accepted() {
        for text in [r#"{"a":[1,-2.5,1e3,true,null,"x\u00e9\n"],"b":{}}"#, " [ ] ", "0", "\"\""] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }
}
