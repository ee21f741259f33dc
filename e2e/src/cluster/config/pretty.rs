//! Formats configuration as indented JSON text.

pub(super) fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
