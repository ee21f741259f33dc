//! Counts values and keys before parsing, because comparing a million keys costs the engine more than sending them
//! costs a client.

use super::not_strict::NotStrict;
use super::plain::plain_len;
use crate::limits::{JSON_DEPTH_MAX, JSON_KEYS_MAX, JSON_VALUES_MAX};

/// Refuses JSON with more values than a body may have, or with an object that has too many keys. Ignores invalid or too
/// deeply nested JSON, which the strict parser refuses later.
pub(super) fn check(bytes: &[u8]) -> Result<(), NotStrict> {
    let mut keys = [0_usize; JSON_DEPTH_MAX + 1];
    // The number of values is one, plus one per comma, plus one for the first element of each list or object that is
    // not empty.
    let (mut depth, mut values, mut opened, mut at) = (0, 1_usize, false, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            continue;
        }
        values += usize::from(opened && !matches!(byte, b'}' | b']'));
        opened = false;
        match byte {
            b'"' => at += string_len(&bytes[at..]),
            b'{' | b'[' if depth == JSON_DEPTH_MAX => return Ok(()),
            b'{' | b'[' => {
                depth += 1;
                keys[depth] = 0;
                opened = true;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' => keys[depth] += 1,
            b',' => values += 1,
            _ => {}
        }
        let reason = if values > JSON_VALUES_MAX {
            format!("more than {JSON_VALUES_MAX} values")
        } else if keys[depth] > JSON_KEYS_MAX {
            format!("an object has more than {JSON_KEYS_MAX} keys")
        } else {
            continue;
        };
        return Err(NotStrict { reason, byte: at });
    }
    Ok(())
}

/// Number of bytes of a string up to and including the closing quote.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += plain_len(&bytes[at..]);
        match bytes.get(at) {
            None => return bytes.len(),
            Some(b'"') => return at + 1,
            // Skips the byte after a backslash, which cannot end the string. The strict parser refuses bare control
            // characters.
            Some(byte) => at = (at + if *byte == b'\\' { 2 } else { 1 }).min(bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(keys: usize) -> String {
        let pairs: Vec<String> = (0..keys).map(|n| format!("\"{n}\":0")).collect();
        format!("{{\"a\":{{{}}},\"b\":[1]}}", pairs.join(","))
    }

    fn list(values: usize) -> String {
        format!("[{}]", vec!["0"; values].join(", "))
    }

    #[test]
    fn keys_and_values_are_counted_before_they_are_read() {
        assert_eq!(check(object(JSON_KEYS_MAX).as_bytes()), Ok(()));
        let fault = check(object(JSON_KEYS_MAX + 1).as_bytes()).unwrap_err();
        assert!(fault.reason.contains("10000 keys"), "{fault}");
        assert_eq!(check(list(JSON_VALUES_MAX - 1).as_bytes()), Ok(()));
        let fault = check(list(JSON_VALUES_MAX).as_bytes()).unwrap_err();
        assert!(fault.reason.contains("200000 values"), "{fault}");
        let nested = format!("[{}]", vec!["[ ]"; JSON_VALUES_MAX - 1].join(","));
        assert_eq!(check(nested.as_bytes()), Ok(()));
        assert!(check(nested.replace("[ ]]", "[0]]").as_bytes()).is_err());
    }

    #[test]
    fn what_stands_in_texts_is_no_value() {
        let text = format!(r#"{{"a":"{}\"{}"}}"#, ",".repeat(JSON_VALUES_MAX), ":,".repeat(JSON_VALUES_MAX));
        assert_eq!(check(text.as_bytes()), Ok(()));
        for broken in ["\"", "\"\\", "{\"a", "]]]]", ":::", "", "\"\u{1}\""] {
            assert_eq!(check(broken.as_bytes()), Ok(()), "{broken}");
        }
        let deep = "[".repeat(1_000_000);
        assert_eq!(check(deep.as_bytes()), Ok(()));
    }
}
