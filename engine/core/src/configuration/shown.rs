//! The configuration for people: all values with their origins, the description of one key, and the keys whose values
//! differ. Secrets are masked.

use std::fmt::Write as _;

use serde_json::Value;

use super::key::{Key, Reload};
use super::old_names::old_names;
use super::sources::{Resolved, find, parsed, unknown_key};
use super::table;
use super::variables::{FILE_SUFFIX, variable};
use super::{Configuration, keys};

/// What is shown instead of a secret.
pub const MASK: &str = "***";

/// A value of the configuration, as it may be shown.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ShownValue {
    /// Section and key.
    pub key: String,
    /// The value; null if there is none.
    pub value: Value,
    /// Where the value comes from.
    pub origin: String,
}

/// Every key with its value and origin.
#[must_use]
pub fn shown(resolved: &Resolved) -> Vec<ShownValue> {
    let values = values(&resolved.configuration);
    let of_key = |(section, key): (&'static str, &'static Key)| {
        let name = format!("{section}.{}", key.name);
        let set = values.get(section).and_then(|section| section.get(key.name)).cloned();
        let value = set.or_else(|| key.default.map(|default| default())).unwrap_or_default();
        let value = if names_secret(key.name) { Value::from(MASK) } else { masked(value) };
        ShownValue { value, origin: resolved.origin(&name).to_string(), key: name }
    };
    keys().map(of_key).collect()
}

fn values(configuration: &Configuration) -> Value {
    serde_json::to_value(configuration).expect("plain values are JSON")
}

/// Keys whose values differ between two configurations.
#[must_use]
pub fn differing(one: &Configuration, other: &Configuration) -> Vec<(&'static str, &'static Key)> {
    let (one, other) = (values(one), values(other));
    let of = |all: &Value, section: &str, key: &Key| {
        let set = all.get(section).and_then(|section| section.get(key.name)).cloned();
        set.or_else(|| key.default.map(|default| default()))
    };
    keys().filter(|(section, key)| of(&one, section, key) != of(&other, section, key)).collect()
}

/// Masks the texts of exceptions, what has the name of a secret, and what may be secret in URLs. Keys of services are
/// never part of a configuration, only the paths of their files.
fn masked(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked_url(&text)),
        Value::Array(items) => items.into_iter().map(masked).collect(),
        Value::Object(mut fields) => {
            for (name, field) in &mut fields {
                let is_secret = name == "value" || names_secret(name);
                *field = if is_secret { Value::from(MASK) } else { masked(field.take()) };
            }
            Value::Object(fields)
        }
        other => other,
    }
}

/// Words of names whose values are not shown.
const SECRET_WORDS: [&str; 12] = [
    "authorization",
    "credential",
    "credentials",
    "headers",
    "key",
    "keys",
    "passwd",
    "password",
    "passwords",
    "secret",
    "secrets",
    "token",
];

/// Whether the name of a variable or of a key says that its value is a secret. The path of a file with a secret is not
/// one.
fn names_secret(name: &str) -> bool {
    let mut words = vec![String::new()];
    let mut is_after_capital = true;
    for letter in name.chars() {
        // A word begins at a capital after a small letter, as in `apiKey`, and after a separator, as in `API_KEY`.
        if !letter.is_ascii_alphanumeric() || (letter.is_ascii_uppercase() && !is_after_capital) {
            words.push(String::new());
        }
        is_after_capital = letter.is_ascii_uppercase();
        if let Some(word) = words.last_mut().filter(|_| letter.is_ascii_alphanumeric()) {
            word.push(letter.to_ascii_lowercase());
        }
    }
    let is_path = words.last().is_some_and(|word| word == "file");
    !is_path && words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()))
}

/// Masks user, password and query of every URL in a text. A query is masked too, because some services expect their key
/// there.
#[must_use]
pub fn masked_url(text: &str) -> String {
    let Some((before, rest)) = text.split_once("://") else { return text.to_owned() };
    // A password may contain any character, so everything up to the last `@` counts as user and password.
    let authority_and_path = match rest.rsplit_once('@') {
        Some((_, host)) => format!("{MASK}@{}", masked_url(host)),
        None => rest.to_owned(),
    };
    let visible = match authority_and_path.split_once('?') {
        Some((path, _)) => format!("{path}?{MASK}"),
        None => authority_and_path,
    };
    format!("{before}://{visible}")
}

/// Variables that an engine reads besides those of keys: its flags, and the settings of libraries.
const OTHER_VARIABLES: [&str; 17] = [
    "MEMORY_ENGINE_ADMIN_LISTEN",
    "MEMORY_ENGINE_ALLOW_DRILL_FAULTS",
    "MEMORY_ENGINE_ANCHOR",
    "MEMORY_ENGINE_CONFIG",
    "MEMORY_ENGINE_DATA",
    "MEMORY_ENGINE_FOLLOW",
    "MEMORY_ENGINE_FOLLOW_LAG_MAX",
    "MEMORY_ENGINE_FOLLOW_TLS_DIRECTORY",
    "MEMORY_ENGINE_FOLLOW_TOKEN_FILE",
    "MEMORY_ENGINE_FORWARD",
    "MEMORY_ENGINE_LISTEN",
    "MEMORY_ENGINE_MODE",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "RUST_BACKTRACE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// The value of a variable as it may be shown; none for a variable that the engine does not read.
#[must_use]
pub fn shown_variable(name: &str, text: &str) -> Option<Value> {
    if let Some((_, key)) = keys().find(|(section, key)| variable(section, key.name) == name) {
        let value = masked(parsed(key.kind, text));
        return Some(if names_secret(name) { Value::from(MASK) } else { value });
    }
    let of_file = name.strip_suffix(FILE_SUFFIX).unwrap_or_default();
    let is_known = OTHER_VARIABLES.contains(&name)
        || old_names().any(|old| old == name)
        || keys().any(|(section, key)| variable(section, key.name) == of_file);
    is_known.then(|| Value::from(if names_secret(name) { MASK.to_owned() } else { masked_url(text) }))
}

/// Describes a key.
///
/// # Errors
/// There is no such key; the text says which ones there are.
pub fn explain(name: &str) -> Result<String, String> {
    let (section, key) = find(name).ok_or_else(|| unknown_key(name))?;
    let variable = variable(section, key.name);
    let mut text = format!("{section}.{}\n  {}\n", key.name, plain(&table::about(key)));
    let or_none = |cell: String| if cell.is_empty() { "none".to_owned() } else { plain(&cell) };
    let reload = match key.reload {
        Reload::Live => "live: a change of the file takes effect at once",
        Reload::Restart => "restart: a change takes effect at the next start",
    };
    for (label, value) in [
        ("default", or_none(table::default(key))),
        ("bounds", or_none(table::bounds(key))),
        ("resource", or_none(table::resource(key))),
        ("variable", format!("{variable}, or {variable}{FILE_SUFFIX} with the path of a file")),
        ("flag", format!("--set {section}.{}=VALUE", key.name)),
        ("reload", reload.to_owned()),
        ("since", key.since.to_owned()),
    ] {
        let _infallible = writeln!(text, "  {label}: {value}");
    }
    Ok(text)
}

/// Removes the marks of Markdown: `[text](link)` and backticks.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, behind)) = rest.split_once("](") {
        let (lead, label) = before.rsplit_once('[').unwrap_or((before, ""));
        text.push_str(lead);
        text.push_str(label);
        rest = behind.split_once(')').map_or("", |(_, behind)| behind);
    }
    text.push_str(rest);
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::names_secret;

    #[test]
    fn a_name_says_that_its_value_is_a_secret() {
        for name in [
            "OTEL_EXPORTER_OTLP_HEADERS",
            "MEMORY_ENGINE_RERANK_API_KEY",
            "apiKey",
            "token",
            "accessToken",
            "DB_PASSWORD",
            "clientSecret",
        ] {
            assert!(names_secret(name), "{name}");
        }
        for name in [
            "apiKeyFile",
            "MEMORY_ENGINE_RERANK_API_KEY_FILE",
            "maxTokensPerMinute",
            "MEMORY_ENGINE_LIMITS_KEEP_ALIVE_SECONDS",
            "monkey",
            "url",
            "",
        ] {
            assert!(!names_secret(name), "{name}");
        }
    }
}
