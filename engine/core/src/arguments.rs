//! Converts the tool arguments that models and their clients send to the types that the tool's JSON Schema expects, if
//! their meaning is unambiguous: `null` for an omitted argument, `"5"` and `5.0` for an integer, `"true"` for a
//! boolean, `"[\"a\"]"` and `"a"` for a list. Ambiguous values are left unchanged; validation then refuses them with a
//! reason.

use serde_json::{Map, Number, Value};

use crate::strict;

/// Up to this value, all integers are exact in a 64-bit float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Arguments after conversion.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CoercedArguments {
    /// The converted arguments.
    pub arguments: Map<String, Value>,
    /// Paths of arguments that the schema does not allow; they were removed.
    pub ignored: Vec<String>,
}

/// Converts arguments to the types that `schema` expects. The schema must not contain references (`$ref`).
pub fn fitted(schema: &Value, arguments: Map<String, Value>) -> CoercedArguments {
    let mut ignored = Vec::new();
    let arguments = object(schema, arguments, "", &mut ignored);
    CoercedArguments { arguments, ignored }
}

/// A set of JSON types, such as the types that a schema allows; one bit per type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kinds(u8);

impl Kinds {
    const NOTHING: Kinds = Kinds(0);
    const NULL: Kinds = Kinds(1);
    const BOOLEAN: Kinds = Kinds(2);
    const INTEGER: Kinds = Kinds(4);
    const NUMBER: Kinds = Kinds(8);
    const STRING: Kinds = Kinds(16);
    const ARRAY: Kinds = Kinds(32);
    const OBJECT: Kinds = Kinds(64);
    const ANY: Kinds = Kinds(127);

    fn has(self, kind: Kinds) -> bool {
        self.0 & kind.0 != 0
    }

    fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    fn named(name: &str) -> Kinds {
        match name {
            "null" => Kinds::NULL,
            "boolean" => Kinds::BOOLEAN,
            "integer" => Kinds::INTEGER,
            "number" => Kinds::NUMBER,
            "string" => Kinds::STRING,
            "array" => Kinds::ARRAY,
            "object" => Kinds::OBJECT,
            _ => Kinds::ANY,
        }
    }

    fn of(schema: &Value) -> Kinds {
        match schema.get("type") {
            Some(Value::String(name)) => Kinds::named(name),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).map(Kinds::named).fold(Kinds::NOTHING, Kinds::and)
            }
            _ => match variants(schema) {
                Some(all) => all.iter().map(Kinds::of).fold(Kinds::NOTHING, Kinds::and),
                None => schema.get("const").map_or(Kinds::ANY, Kinds::of_value),
            },
        }
    }

    /// An integer is also a number.
    fn of_value(value: &Value) -> Kinds {
        match value {
            Value::Null => Kinds::NULL,
            Value::Bool(_) => Kinds::BOOLEAN,
            Value::Number(number) if number.is_f64() => Kinds::NUMBER,
            Value::Number(_) => Kinds::INTEGER.and(Kinds::NUMBER),
            Value::String(_) => Kinds::STRING,
            Value::Array(_) => Kinds::ARRAY,
            Value::Object(_) => Kinds::OBJECT,
        }
    }
}

fn variants(schema: &Value) -> Option<&Vec<Value>> {
    schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()
}

fn object(
    schema: &Value,
    fields: Map<String, Value>,
    path: &str,
    ignored: &mut Vec<String>,
) -> Map<String, Value> {
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    let mut fitted = Map::new();
    for (name, value) in fields {
        let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match schema.get("properties").and_then(|properties| properties.get(&name)) {
            Some(property) => {
                if let Some(value) = fit(property, value, &here, ignored) {
                    fitted.insert(name, value);
                }
            }
            None if closed => ignored.push(here),
            None => {
                fitted.insert(name, value);
            }
        }
    }
    fitted
}

/// The allowed values of an enum of strings; None if the schema allows other values.
fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const") {
        return word.as_str().map(|word| vec![word]);
    }
    if let Some(all) = schema.get("enum").and_then(Value::as_array) {
        return all.iter().map(Value::as_str).collect();
    }
    let all = variants(schema)?.iter().filter(|variant| Kinds::of(variant) != Kinds::NULL);
    all.map(words).collect::<Option<Vec<_>>>().map(|each| each.concat())
}

/// Matches `text` with one of the allowed `words` and returns the schema's spelling. Returns a text that matches no
/// word unchanged, and None for a text that means "no value".
fn one_of(words: &[&str], text: &str) -> Option<Value> {
    let trimmed = text.trim();
    let known = words.iter().find(|word| word.eq_ignore_ascii_case(trimmed));
    match (known, trimmed.to_ascii_lowercase().as_str()) {
        (Some(word), _) => Some(Value::String((*word).to_owned())),
        (None, "" | "null" | "none" | "undefined") => None,
        (None, _) => Some(Value::String(text.to_owned())),
    }
}

/// Converts a value to a type that the schema allows. Returns the value unchanged if the meaning is ambiguous, and None
/// if it means "no value".
fn fit(schema: &Value, value: Value, path: &str, ignored: &mut Vec<String>) -> Option<Value> {
    let kinds = Kinds::of(schema);
    if let (Some(words), Value::String(text)) = (words(schema), &value) {
        return one_of(&words, text);
    }
    if kinds.has(Kinds::of_value(&value)) {
        return Some(within(schema, value, path, ignored));
    }
    match value {
        Value::Null => None,
        Value::String(text) => read(schema, kinds, text, path, ignored),
        // A list of one item where a single value is expected.
        Value::Array(mut items) if items.len() == 1 && !kinds.has(Kinds::OBJECT) => {
            let only = items.remove(0);
            match fit(schema, only.clone(), path, ignored) {
                Some(fitted) if kinds.has(Kinds::of_value(&fitted)) => Some(fitted),
                _ => Some(Value::Array(vec![only])),
            }
        }
        value if kinds.has(Kinds::ARRAY) => Some(listed(schema, value, path, ignored)),
        Value::Number(number) => Some(other_number(kinds, number)),
        Value::Bool(flag) if kinds.has(Kinds::STRING) => Some(Value::String(flag.to_string())),
        value => Some(value),
    }
}

/// Converts the values inside an object or a list of an allowed type.
fn within(schema: &Value, value: Value, path: &str, ignored: &mut Vec<String>) -> Value {
    let schema = match variants(schema) {
        Some(all) => {
            let kind = Kinds::of_value(&value);
            all.iter().find(|variant| Kinds::of(variant).has(kind)).unwrap_or(schema)
        }
        None => schema,
    };
    match value {
        Value::Object(fields) if schema.get("properties").is_some() => {
            Value::Object(object(schema, fields, path, ignored))
        }
        Value::Array(items) => match schema.get("items") {
            Some(one) => Value::Array(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(i, item)| {
                        let is_null = item.is_null();
                        let fitted = fit(one, item, &format!("{path}[{i}]"), ignored);
                        // An item that means "no value" is kept, because removing it would shift the other items.
                        fitted.unwrap_or_else(|| {
                            if is_null { Value::Null } else { Value::String(String::new()) }
                        })
                    })
                    .collect(),
            ),
            None => Value::Array(items),
        },
        Value::String(text) => Value::String(word(schema, text)),
        value => value,
    }
}

/// Returns the schema's spelling of an item of a list of enum values; ignores case.
fn word(schema: &Value, text: String) -> String {
    let Some(words) = schema.get("enum").and_then(Value::as_array) else { return text };
    let asked = text.trim();
    let is_meant = |word: &&str| word.eq_ignore_ascii_case(asked);
    words.iter().filter_map(Value::as_str).find(is_meant).map_or(text.clone(), str::to_owned)
}

/// Converts a text where another type is expected.
fn read(schema: &Value, kinds: Kinds, text: String, path: &str, ignored: &mut Vec<String>) -> Option<Value> {
    let trimmed = text.trim();
    let lower = trimmed.to_ascii_lowercase();
    if matches!(lower.as_str(), "" | "null" | "none" | "undefined") {
        return None;
    }
    if kinds.has(Kinds::INTEGER.and(Kinds::NUMBER))
        && let Ok(number) = serde_json::from_str::<Number>(trimmed)
    {
        let number = other_number(kinds, number);
        return Some(if kinds.has(Kinds::of_value(&number)) { number } else { Value::String(text) });
    }
    if kinds.has(Kinds::BOOLEAN) {
        match lower.as_str() {
            "true" | "yes" | "on" | "1" => return Some(Value::Bool(true)),
            "false" | "no" | "off" | "0" => return Some(Value::Bool(false)),
            _ => {}
        }
    }
    let is_nested = trimmed.starts_with('[') && kinds.has(Kinds::ARRAY)
        || trimmed.starts_with('{') && kinds.has(Kinds::OBJECT.and(Kinds::ARRAY));
    if is_nested
        && strict::check_text(trimmed).is_ok()
        && let Ok(nested) = serde_json::from_str::<Value>(trimmed)
    {
        return fit(schema, nested, path, ignored);
    }
    // A text with a comma is ambiguous: the comma may separate items or be part of the text.
    if kinds.has(Kinds::ARRAY) && !is_nested && !trimmed.contains(',') {
        return Some(listed(schema, Value::String(text), path, ignored));
    }
    Some(Value::String(text))
}

/// Wraps a single value where a list is expected.
fn listed(schema: &Value, value: Value, path: &str, ignored: &mut Vec<String>) -> Value {
    within(schema, Value::Array(vec![value]), path, ignored)
}

/// Converts a number where another type is expected: `5.0` to an integer, 0 or 1 to a boolean, any number to a text.
fn other_number(kinds: Kinds, number: Number) -> Value {
    if kinds.has(Kinds::NUMBER) || !number.is_f64() && kinds.has(Kinds::INTEGER) {
        return Value::Number(number);
    }
    if kinds.has(Kinds::INTEGER) {
        let whole = number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() <= WHOLE_MAX);
        #[expect(clippy::cast_possible_truncation, reason = "it is a whole number within bounds")]
        return whole.map_or(Value::Number(number), |value| Value::from(value as i64));
    }
    match (kinds.has(Kinds::BOOLEAN), number.as_f64()) {
        (true, Some(1.0)) => Value::Bool(true),
        (true, Some(0.0)) => Value::Bool(false),
        _ if kinds.has(Kinds::STRING) => Value::String(number.to_string()),
        _ => Value::Number(number),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "text": { "type": ["string", "null"] },
                "name": { "type": "string" },
                "count": { "type": ["integer", "null"], "minimum": 0 },
                "rate": { "type": "number" },
                "flag": { "type": "boolean" },
                "tags": { "type": "array", "items": { "type": "string" } },
                "numbers": { "type": ["array", "null"], "items": { "type": "integer" } },
                "mode": { "anyOf": [{ "type": "string", "enum": ["hybrid", "words"] }, { "type": "null" }] },
                "way": { "anyOf": [{ "oneOf": [{ "const": "say" }, { "const": "save_once" }] }, { "type": "null" }] },
                "things": { "type": "array", "items": {
                    "type": "object", "additionalProperties": false, "properties": { "n": { "type": "integer" } },
                } },
                "anything": {},
                "open": { "type": "object", "properties": { "n": { "type": "integer" } } },
            },
        })
    }

    #[test]
    fn a_word_of_a_closed_list_is_known_in_capitals_and_left_out_when_empty() {
        check(
            &json!({ "mode": " Hybrid", "way": "SAVE_ONCE" }),
            &json!({ "mode": "hybrid", "way": "save_once" }),
        );
        check(&json!({ "mode": "", "way": "None" }), &json!({}));
        check(&json!({ "mode": "other", "way": null }), &json!({ "mode": "other", "way": null }));
    }

    #[track_caller]
    fn check(sent: &Value, expected: &Value) {
        let CoercedArguments { arguments, ignored } = fitted(&schema(), sent.as_object().unwrap().clone());
        assert_eq!(Value::Object(arguments), *expected, "{sent}");
        assert!(ignored.is_empty(), "{ignored:?}");
    }

    #[test]
    fn what_means_one_thing_is_taken_whatever_its_type() {
        for five in [
            json!(5),
            json!("5"),
            json!(5.0),
            json!("5.0"),
            json!(" 5 "),
            json!("5e0"),
            json!([5]),
            json!(["5"]),
        ] {
            check(&json!({ "count": five }), &json!({ "count": 5 }));
        }
        for half in [json!(0.5), json!("0.5"), json!(["0.5"])] {
            check(&json!({ "rate": half }), &json!({ "rate": 0.5 }));
        }
        for yes in [
            json!(true),
            json!("true"),
            json!("True"),
            json!(" YES "),
            json!(1),
            json!("1"),
            json!(1.0),
            json!([true]),
        ] {
            check(&json!({ "flag": yes }), &json!({ "flag": true }));
        }
        for no in [json!("false"), json!("no"), json!(0), json!("off")] {
            check(&json!({ "flag": no }), &json!({ "flag": false }));
        }
        for list in [json!(["a"]), json!("a"), json!("[\"a\"]"), json!(" [ \"a\" ] "), json!("[[\"a\"]]")] {
            check(&json!({ "tags": list }), &json!({ "tags": ["a"] }));
        }
        for list in [json!([1, 2]), json!("[1, 2]"), json!(["1", 2.0]), json!("[\"1\",\"2\"]")] {
            check(&json!({ "numbers": list }), &json!({ "numbers": [1, 2] }));
        }
        check(&json!({ "numbers": 7 }), &json!({ "numbers": [7] }));
        check(&json!({ "mode": "Hybrid " }), &json!({ "mode": "hybrid" }));
        for things in
            [json!("[{\"n\":\"1\"}]"), json!({ "n": 1.0 }), json!("{\"n\":1}"), json!(["{\"n\":1}"])]
        {
            check(&json!({ "things": things }), &json!({ "things": [{ "n": 1 }] }));
        }
        check(
            &json!({ "open": "{\"n\":\"1\",\"more\":null}" }),
            &json!({ "open": { "n": 1, "more": null } }),
        );
        check(&json!({ "name": 2024, "text": true }), &json!({ "name": "2024", "text": "true" }));
    }

    #[test]
    fn null_is_the_same_as_nothing_where_null_is_not_allowed() {
        let sent = json!({
            "name": null, "rate": null, "flag": null, "tags": null, "things": null, "open": null,
        });
        check(&sent, &json!({}));
        check(&json!({ "text": null, "anything": null }), &json!({ "text": null, "anything": null }));
        for nothing in ["", " ", "null", "None", "undefined"] {
            check(&json!({ "count": nothing, "flag": nothing, "tags": nothing }), &json!({}));
        }
        check(&json!({ "text": "null", "name": "" }), &json!({ "text": "null", "name": "" }));
    }

    #[test]
    fn what_could_mean_two_things_stays_as_it_is() {
        for sent in [
            json!({ "count": "five" }),
            json!({ "count": 5.5 }),
            json!({ "count": "5.5" }),
            json!({ "count": true }),
            json!({ "count": [1, 2] }),
            json!({ "count": {} }),
            json!({ "count": 1e300 }),
            json!({ "flag": "maybe" }),
            json!({ "flag": 2 }),
            json!({ "tags": "a, b" }),
            json!({ "tags": "['a']" }),
            json!({ "tags": [null] }),
            json!({ "tags": "{\"a\":1,\"a\":2}" }),
            json!({ "name": {} }),
            json!({ "name": ["a", "b"] }),
            json!({ "mode": "other" }),
            json!({ "things": "x, y" }),
        ] {
            check(&sent, &sent);
        }
    }

    #[test]
    fn what_the_schema_does_not_know_is_left_out_and_named() {
        let sent = json!({ "name": "a", "requestContext": { "a": 1 }, "things": [{ "n": 1, "m": 2 }], "open": { "x": 1 } });
        let CoercedArguments { arguments, ignored } = fitted(&schema(), sent.as_object().unwrap().clone());
        assert_eq!(
            Value::Object(arguments),
            json!({ "name": "a", "things": [{ "n": 1 }], "open": { "x": 1 } })
        );
        assert_eq!(ignored, ["requestContext", "things[0].m"]);
    }
}
