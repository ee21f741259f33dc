//! The table of all keys in `docs/guide/configuration.md`.

use std::fmt::Write as _;

use serde_json::Value;

use super::key::{Key, Kind, Reload};
use super::keys;

/// The table in Markdown.
#[must_use]
pub fn table() -> String {
    let mut text =
        "| key | default | bounds | resource (`spec.…`) | reload | |\n|---|---|---|---|---|---|\n".to_owned();
    for (section, key) in keys() {
        let cells = [default(key), bounds(key), resource(key), about(key)];
        let cells = cells.map(|cell| if cell.is_empty() { cell } else { format!("{cell} ") });
        let [default, bounds, resource, about] = cells;
        let name = key.name;
        let reload = if key.reload == Reload::Live { "live" } else { "restart" };
        let _infallible =
            writeln!(text, "| `{section}.{name}` | {default}| {bounds}| {resource}| {reload} | {about}|");
    }
    text
}

pub(super) fn default(key: &Key) -> String {
    match key.default.map(|default| default()) {
        Some(Value::Number(number)) => grouped(&number.to_string()),
        Some(Value::String(word)) => format!("`{word}`"),
        Some(Value::Bool(switch)) => format!("`{switch}`"),
        Some(_) | None => key.absent.to_owned(),
    }
}

pub(super) fn bounds(key: &Key) -> String {
    match key.kind {
        Kind::Text => String::new(),
        Kind::Bool => "`true`, `false`".to_owned(),
        Kind::Integer { min, max, bytes: false } => {
            format!("{}–{}", grouped(&min.to_string()), grouped(&max.to_string()))
        }
        Kind::Integer { min, max, bytes: true } => format!("{}–{}", size(min), size(max)),
        Kind::Number { max } => format!("0–{}", grouped(&max.to_string())),
        Kind::Enum(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Checked { bounds, .. } => bounds(),
        Kind::Structured { bounds } => bounds.to_owned(),
    }
}

pub(super) fn resource(key: &Key) -> String {
    let field = key.field.and_then(|field| field.strip_prefix("spec."));
    let field = field.map(|field| format!("`{field}`")).unwrap_or_default();
    format!("{field}{}", key.field_note)
}

/// The description of a key, on one line.
pub(super) fn about(key: &Key) -> String {
    let about = key.about.split_whitespace().collect::<Vec<_>>().join(" ");
    match key.needs {
        Some((other, word)) => format!("{about}; only with `{other}: {word}`"),
        None => about,
    }
}

/// A number of bytes in the largest unit that fits, rounded down.
fn size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (0, "bytes")];
    let (shift, unit) = units.into_iter().find(|(shift, _)| bytes >> shift > 0).unwrap_or((0, "bytes"));
    format!("{} {unit}", bytes >> shift)
}

/// Groups digits by three.
fn grouped(digits: &str) -> String {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if fraction != "0" {
        text = format!("{text}.{fraction}");
    }
    text
}
