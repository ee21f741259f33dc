//! Validates a value against a schema as the API server does: the keywords of structural schemas, and unknown fields.
//! CEL rules are left out: [`crate::validate`] checks what they check.

use regex::Regex;
use serde_json::{Map, Value};

/// A value that the schema does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SchemaFault {
    /// Path of the field, such as `spec.writer.storage.size`.
    pub(super) path: String,
    /// What is wrong.
    pub(super) problem: String,
}

/// Everything that is wrong with a value.
pub(super) fn faults(path: &str, value: &Value, schema: &Value) -> Vec<SchemaFault> {
    let mut found = Vec::new();
    check(path, value, schema, &mut found);
    found
}

fn check(path: &str, value: &Value, schema: &Value, found: &mut Vec<SchemaFault>) {
    let mut wrong = |problem: String| found.push(SchemaFault { path: path.to_owned(), problem });
    if value.is_null() {
        if schema["nullable"] != true {
            wrong("is null: write a value, or leave it out".to_owned());
        }
        return;
    }
    if let Some(problem) = wrong_type(value, schema) {
        return wrong(problem);
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        let words: Vec<String> = words.iter().map(Value::to_string).collect();
        return wrong(format!("is {}: write one of {}", shown(value), words.join(", ")));
    }
    match value {
        Value::String(text) => string(text, schema, &mut wrong),
        Value::Number(_) => number(value, schema, &mut wrong),
        Value::Array(items) => array(path, items, schema, found),
        Value::Object(fields) => object(path, fields, schema, found),
        Value::Bool(_) | Value::Null => {}
    }
}

/// A value in a message, shortened.
fn shown(value: &Value) -> String {
    const CHARS_MAX: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= CHARS_MAX {
        return text;
    }
    text.chars().take(CHARS_MAX).chain("…".chars()).collect()
}

fn wrong_type(value: &Value, schema: &Value) -> Option<String> {
    if schema["x-kubernetes-int-or-string"] == true {
        let fits = value.is_string() || value.is_i64() || value.is_u64();
        return (!fits).then(|| format!("is {}: write an integer or a text", shown(value)));
    }
    let wanted = schema["type"].as_str()?;
    let fits = match wanted {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    (!fits).then(|| format!("is {}: it must be of type {wanted}", shown(value)))
}

fn bound(schema: &Value, name: &str) -> Option<usize> {
    schema[name].as_u64().and_then(|bound| bound.try_into().ok())
}

fn string(text: &str, schema: &Value, wrong: &mut impl FnMut(String)) {
    let length = text.chars().count();
    if bound(schema, "minLength").is_some_and(|min| length < min) {
        wrong(format!("has {length} characters: write at least {}", schema["minLength"]));
    }
    if bound(schema, "maxLength").is_some_and(|max| length > max) {
        wrong(format!("has {length} characters: write at most {}", schema["maxLength"]));
    }
    let pattern = schema["pattern"].as_str().and_then(|pattern| Regex::new(pattern).ok());
    if pattern.is_some_and(|pattern| !pattern.is_match(text)) {
        wrong(format!("is {}: it must match {}", shown(&Value::from(text)), schema["pattern"]));
    }
}

fn number(value: &Value, schema: &Value, wrong: &mut impl FnMut(String)) {
    let Some(number) = value.as_f64() else { return };
    if schema["minimum"].as_f64().is_some_and(|min| number < min) {
        wrong(format!("is {value}: write at least {}", schema["minimum"]));
    }
    if schema["maximum"].as_f64().is_some_and(|max| number > max) {
        wrong(format!("is {value}: write at most {}", schema["maximum"]));
    }
}

fn array(path: &str, items: &[Value], schema: &Value, found: &mut Vec<SchemaFault>) {
    let mut wrong = |problem: String| found.push(SchemaFault { path: path.to_owned(), problem });
    if bound(schema, "minItems").is_some_and(|min| items.len() < min) {
        wrong(format!("has {} items: write at least {}", items.len(), schema["minItems"]));
    }
    if bound(schema, "maxItems").is_some_and(|max| items.len() > max) {
        return wrong(format!("has {} items: write at most {}", items.len(), schema["maxItems"]));
    }
    if has_twins(items, schema) {
        wrong("has the same item twice".to_owned());
    }
    for (index, item) in items.iter().enumerate() {
        check(&format!("{path}[{index}]"), item, &schema["items"], found);
    }
}

/// Whether two items are the same for the API server: equal values of a set, or equal keys of a map.
fn has_twins(items: &[Value], schema: &Value) -> bool {
    let keys: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Vec::new(),
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            keys.into_iter().flatten().filter_map(Value::as_str).collect()
        }
        _ => return false,
    };
    let is_same = |one: &Value, other: &Value| match keys.as_slice() {
        [] => one == other,
        keys => keys.iter().all(|key| one[*key] == other[*key]),
    };
    items.iter().enumerate().any(|(index, one)| items[..index].iter().any(|other| is_same(one, other)))
}

fn object(path: &str, fields: &Map<String, Value>, schema: &Value, found: &mut Vec<SchemaFault>) {
    let mut wrong = |path: String, problem: &str| {
        found.push(SchemaFault { path, problem: problem.to_owned() });
    };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| !fields.contains_key(*name)) {
        wrong(format!("{path}.{name}"), "is missing");
    }
    if bound(schema, "maxProperties").is_some_and(|max| fields.len() > max) {
        wrong(path.to_owned(), "has too many entries");
    }
    let known = schema["properties"].as_object();
    let other = Some(&schema["additionalProperties"]).filter(|other| other.is_object());
    for (name, value) in fields {
        let at = format!("{path}.{name}");
        match known.and_then(|known| known.get(name)).or(other) {
            Some(schema) => check(&at, value, schema, found),
            None if known.is_some() => {
                let problem = "is unknown: correct the name, or remove it".to_owned();
                found.push(SchemaFault { path: at, problem });
            }
            None => {}
        }
    }
}
