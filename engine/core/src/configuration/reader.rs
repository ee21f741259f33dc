//! Reads the file according to the tables of its sections. Reports every fault, not only the first.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::key::Key;
use crate::wire::{NotApplied, Unknown};

/// Author of the file, which decides how unknown parts are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A person. Every unknown part is a mistake, and so a fault.
    Person,
    /// An operator, which may be newer than the engine. A section, key or word that this version does not know is
    /// ignored and reported, because its memories would be unavailable if the engine did not start.
    Operator,
}

/// Maximum length of the list of parts that were not applied. More than a newer version adds.
const NOT_APPLIED_MAX: usize = 64;

/// A section of the configuration file. `section!` implements it.
pub trait Section: Default + Serialize + DeserializeOwned {
    /// Name in the file.
    const NAME: &'static str;
    /// Its keys, in the order of the documentation.
    const KEYS: &'static [Key];

    /// Removes and reports what this version does not know inside of lists and objects.
    fn prepare(_section: &mut Map<String, Value>, _reader: &mut Reader) {}

    /// Reports faults in the combination of keys that are each valid.
    fn check(&self, _faults: &mut Vec<String>) {}
}

/// Reads one file.
#[derive(Debug)]
pub struct Reader {
    author: Author,
    pub(super) faults: Vec<String>,
    pub(super) not_applied: Vec<NotApplied>,
}

impl Reader {
    pub(super) fn new(author: Author) -> Reader {
        Reader { author, faults: Vec::new(), not_applied: Vec::new() }
    }

    pub(super) fn is_lenient(&self) -> bool {
        self.author == Author::Operator
    }

    pub(super) fn report(&mut self, key: String, unknown: Unknown) {
        let entry = NotApplied { key, unknown };
        if self.not_applied.len() < NOT_APPLIED_MAX && !self.not_applied.contains(&entry) {
            self.not_applied.push(entry);
        }
    }

    /// The sections of the file, by name.
    pub(super) fn root(&mut self, file: &Value, known: &[&str]) -> Map<String, Value> {
        self.mapping(file, "the file", known, |name| (name.to_owned(), Unknown::Section))
    }

    /// Reads one section. A section that is absent or empty has the defaults.
    pub(super) fn section<S: Section>(&mut self, root: &Map<String, Value>) -> S {
        let Some(value) = root.get(S::NAME).filter(|value| !value.is_null()) else { return S::default() };
        let known: Vec<&str> = S::KEYS.iter().map(|key| key.name).collect();
        let unknown = |key: &str| (format!("{}.{key}", S::NAME), Unknown::Key);
        let mut section = self.mapping(value, S::NAME, &known, unknown);
        S::prepare(&mut section, self);
        self.check_keys::<S>(&mut section);
        match serde_json::from_value::<S>(Value::Object(section)) {
            Ok(section) => {
                section.check(&mut self.faults);
                section
            }
            Err(fault) => {
                self.faults.push(format!("{} cannot be read: {fault}", S::NAME));
                S::default()
            }
        }
    }

    /// Removes every key whose value is at fault, so that the rest can be read and checked.
    fn check_keys<S: Section>(&mut self, section: &mut Map<String, Value>) {
        let whole = section.clone();
        for key in S::KEYS {
            let Some(value) = whole.get(key.name) else { continue };
            let name = format!("{}.{}", S::NAME, key.name);
            let missing = key.needs.filter(|(other, word)| whole.get(*other) != Some(&Value::from(*word)));
            if missing.is_some_and(|(other, _)| self.is_lenient() && has_other_word::<S>(&whole, other)) {
                // The key belongs to a word that this version does not know, which was already reported.
            } else if let Some((other, word)) = missing {
                self.faults.push(format!("{name} needs {}.{other} to be {word}", S::NAME));
            } else if self.is_lenient() && key.is_other_word(value) {
                self.report(name, Unknown::Value);
            } else if let Some(fault) = key.fault(value) {
                self.faults.push(format!("{name} {fault}"));
            } else {
                continue;
            }
            section.remove(key.name);
        }
    }

    /// The known keys of a mapping; `report` returns what is reported for an unknown key.
    fn mapping(
        &mut self,
        value: &Value,
        name: &str,
        known: &[&str],
        report: impl Fn(&str) -> (String, Unknown),
    ) -> Map<String, Value> {
        let Value::Object(mapping) = value else {
            if !value.is_null() {
                self.faults.push(format!("{name} must be a mapping"));
            }
            return Map::new();
        };
        let mut mapping = mapping.clone();
        mapping.retain(|key, _| {
            let is_known = known.contains(&key.as_str());
            if !is_known && self.is_lenient() {
                let (key, unknown) = report(key);
                self.report(key, unknown);
            } else if !is_known {
                let known = known.join(", ");
                self.faults.push(format!("{name} has an unknown key {key:?}; known are {known}"));
            }
            is_known
        });
        mapping
    }
}

/// Whether the value of a key is a word that this version does not know.
fn has_other_word<S: Section>(section: &Map<String, Value>, name: &str) -> bool {
    let key = S::KEYS.iter().find(|key| key.name == name);
    key.zip(section.get(name)).is_some_and(|(key, value)| key.is_other_word(value))
}
