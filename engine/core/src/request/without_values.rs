//! Messages of the JSON parser without the values that they quote.

use crate::policy::is_clean;

/// What the parser writes between its description of a fault and what it expected, which are words of the program.
const EXPECTED: &str = ", expected ";
/// What the parser writes before its position in the text.
const PLACE: &str = " at line ";
/// Descriptions that name a field.
const FIELD: [&str; 3] = ["unknown field `", "missing field `", "duplicate field `"];
/// Maximum length of a field that is named.
const NAME_BYTES_MAX: usize = 64;

/// Removes every value from a message of the JSON parser: a message may name the field, never its value.
#[must_use]
pub fn without_values(message: &str) -> String {
    let (fault, rest) = match message.rfind(EXPECTED) {
        Some(place) => message.split_at(place),
        None => message.split_at(message.rfind(PLACE).unwrap_or(message.len())),
    };
    if FIELD.iter().any(|words| fault.starts_with(words)) && is_name(quoted(fault, '`')) {
        return message.to_owned();
    }
    let fault = ['"', '`', '\''].iter().fold(fault.to_owned(), |fault, quote| without_quoted(&fault, *quote));
    format!("{fault}{rest}")
}

/// What stands between the first and the last of these quotes.
fn quoted(text: &str, quote: char) -> &str {
    let inside = text.split_once(quote).and_then(|(_, rest)| rest.rsplit_once(quote));
    inside.map_or("", |(inside, _)| inside)
}

fn without_quoted(text: &str, quote: char) -> String {
    match (text.find(quote), text.rfind(quote)) {
        (Some(first), Some(last)) if first < last => {
            format!("{}…{}", &text[..first], &text[last + quote.len_utf8()..])
        }
        _ => text.to_owned(),
    }
}

/// Whether a text looks like the name of a field.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain) && is_clean(text)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are of interest")]
    struct Form {
        count: u32,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        One,
    }

    #[test]
    fn a_message_names_the_field_and_not_the_value() {
        for (sent, said) in [
            (r#"{"count": "a, expected \"b\""}"#, "invalid type: string …, expected u32 at line 1 column 29"),
            (r#"{"count": -7}"#, "invalid value: integer …, expected u32 at line 1 column 12"),
            (r#"{"count": 1, "kind": "Two"}"#, "unknown variant …, expected `One` at line 1 column 26"),
            (r#"{"conut": 1}"#, "unknown field `conut`, expected `count` or `kind` at line 1 column 8"),
            (r#"{"a word": 1}"#, "unknown field …, expected `count` or `kind` at line 1 column 9"),
            (r#"{}"#, "missing field `count` at line 1 column 2"),
        ] {
            let fault = serde_json::from_str::<Form>(sent).unwrap_err().to_string();
            assert_eq!(without_values(&fault), said, "{fault}");
        }
        assert_eq!(without_values("failed to parse \"x\" at line 1"), "failed to parse … at line 1");
        assert_eq!(without_values("it's"), "it's");
    }
}
