//! Where the configuration comes from: the file, variables of the environment, and flags. A flag overrides a variable,
//! a variable overrides the file, and the file overrides the default.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::key::{Key, Kind};
use super::reader::Author;
use super::{Configuration, keys, read};
use crate::wire::NotApplied;

/// Where the value of a key comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The default of the key, or no value.
    Default,
    /// The configuration file.
    File,
    /// A variable of the environment, by name.
    Variable(String),
    /// A flag of the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File => f.write_str("file"),
            Origin::Variable(name) => write!(f, "environment {name}"),
            Origin::Flag => f.write_str("flag"),
        }
    }
}

/// A value from outside of the file, as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// Section and key, such as `limits.burst`.
    pub key: String,
    /// The value.
    pub text: String,
    /// Where the value comes from.
    pub origin: Origin,
}

/// Omits the value, which may be confidential.
impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting")
            .field("key", &self.key)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Setting {
    /// Parses a flag `KEY=VALUE`.
    ///
    /// # Errors
    /// There is no `=`, or no key has this name. The text of the error does not contain the value, which may be
    /// confidential.
    pub fn of_flag(text: &str) -> Result<Setting, String> {
        let Some((key, value)) = text.split_once('=') else {
            return Err("--set needs KEY=VALUE, for example --set log.level=debug".to_owned());
        };
        let key = known(key).ok_or_else(|| {
            // What has no form of a name may be a value that was passed in the place of a name.
            let is_name = key.chars().all(|letter| letter.is_ascii_alphabetic() || letter == '.');
            format!("{} (flag)", unknown_key(if is_name { key } else { "…" }))
        })?;
        Ok(Setting { key, text: value.to_owned(), origin: Origin::Flag })
    }
}

/// The complete name of a key, if there is such a key.
fn known(name: &str) -> Option<String> {
    find(name).map(|(section, key)| format!("{section}.{}", key.name))
}

/// The key with this complete name, such as `limits.burst`.
#[must_use]
pub fn find(name: &str) -> Option<(&'static str, &'static Key)> {
    let (section, name) = name.split_once('.')?;
    keys().find(|(of, key)| *of == section && key.name == name)
}

/// Says that no key has this name, and which names are close to it: those of its section, or the sections.
#[must_use]
pub fn unknown_key(name: &str) -> String {
    let section = name.split('.').next().unwrap_or(name);
    let close: Vec<String> = keys()
        .filter(|(of, _)| *of == section)
        .map(|(section, key)| format!("{section}.{}", key.name))
        .collect();
    if !close.is_empty() {
        return format!("there is no key {name:?}; known are {}", close.join(", "));
    }
    let sections: Vec<&str> = super::SECTIONS.iter().map(|(section, _)| *section).collect();
    format!("there is no key {name:?}; its section must be one of {}", sections.join(", "))
}

/// A configuration with the origin of each value.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The values.
    pub configuration: Configuration,
    /// Parts of the file that this version does not know.
    pub not_applied: Vec<NotApplied>,
    /// Origin of each value that is not a default, by key.
    origins: BTreeMap<String, Origin>,
}

impl Resolved {
    /// Origin of the value of a key.
    #[must_use]
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }
}

/// Applies settings to the content of the file, in ascending order of precedence, and reads the result.
///
/// # Errors
/// Everything that is wrong, with the origin of each value that is not from the file.
pub fn resolve(file: &Value, settings: &[Setting], author: Author) -> Result<Resolved, Vec<String>> {
    let mut origins = origins_of(file);
    let mut merged = if file.is_null() { Value::Object(Map::new()) } else { file.clone() };
    for setting in settings {
        let Some((section, key)) = find(&setting.key) else { continue };
        let Some(sections) = merged.as_object_mut() else { break };
        let values = sections.entry(section).or_insert_with(|| Value::Object(Map::new()));
        if values.is_null() {
            *values = Value::Object(Map::new());
        }
        // A section of another type is a fault of the file, which the reader reports.
        if let Some(values) = values.as_object_mut() {
            values.insert(key.name.to_owned(), parsed(key.kind, &setting.text));
            origins.insert(setting.key.clone(), setting.origin.clone());
        }
    }
    let (configuration, not_applied) = read(&merged, author)
        .map_err(|faults| faults.into_iter().map(|fault| with_origin(fault, &origins)).collect::<Vec<_>>())?;
    Ok(Resolved { configuration, not_applied, origins })
}

fn origins_of(file: &Value) -> BTreeMap<String, Origin> {
    let is_set = |(section, key): &(&str, &Key)| file.get(*section).and_then(|of| of.get(key.name)).is_some();
    keys().filter(is_set).map(|(section, key)| (format!("{section}.{}", key.name), Origin::File)).collect()
}

/// Adds where the value comes from, unless that is the file.
fn with_origin(fault: String, origins: &BTreeMap<String, Origin>) -> String {
    let key = fault.split([' ', '[']).next().unwrap_or_default();
    match origins.get(key) {
        Some(origin @ (Origin::Variable(_) | Origin::Flag)) => format!("{fault} ({origin})"),
        _ => fault,
    }
}

/// Converts text to a value of the kind. A text that has another form stays a text, and the reader reports it.
pub(super) fn parsed(kind: Kind, text: &str) -> Value {
    let as_written = || Value::from(text);
    match kind {
        Kind::Text | Kind::Enum(_) => as_written(),
        Kind::Bool => text.parse::<bool>().map_or_else(|_| as_written(), Value::from),
        Kind::Integer { .. } => text.parse::<u64>().map_or_else(|_| as_written(), Value::from),
        Kind::Number { .. } => text.parse::<f64>().map_or_else(|_| as_written(), Value::from),
        Kind::Checked { .. } | Kind::Structured { .. } => listed(text),
    }
}

/// A list: JSON, or texts separated by commas.
fn listed(text: &str) -> Value {
    let text = text.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    }
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}
