//! What the variables of the environment say about the configuration.

use std::collections::BTreeMap;

use super::reader::Author;
use super::sources::{Origin, Setting};
use super::variables::{FILE_SUFFIX, unknown, variable};
use super::{keys, old_names};

/// A variable with the path of a file that contains a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileVariable {
    /// Section and key.
    pub key: String,
    /// Name of the variable.
    pub variable: String,
    /// Path of the file.
    pub path: String,
}

/// What the environment says about the configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Values, in ascending order of precedence: a name of this version overrides an old one.
    pub settings: Vec<Setting>,
    /// Values that have to be read from files.
    pub files: Vec<FileVariable>,
    /// Variables that have no effect, or that have a new name. Not a fault.
    pub warnings: Vec<String>,
    /// Variables that are wrong.
    pub faults: Vec<String>,
}

/// What the variables of the environment say. An empty variable counts as absent. A variable of a known section without
/// a key is a fault of a person, and only has a warning if an operator wrote the configuration.
#[must_use]
pub fn environment<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>, author: Author) -> Environment {
    let mut found = Environment::default();
    let set: BTreeMap<&str, &str> = variables.filter(|(_, value)| !value.is_empty()).collect();
    let (settings, warnings) = old_names::apply(&set);
    (found.settings, found.warnings) = (settings, warnings);
    for (section, key) in keys() {
        let name = format!("{section}.{}", key.name);
        let variable = variable(section, key.name);
        let file_variable = format!("{variable}{FILE_SUFFIX}");
        match (set.get(variable.as_str()), set.get(file_variable.as_str())) {
            (Some(_), Some(_)) => {
                found.faults.push(format!("{variable} and {file_variable} are both set: remove one of them"));
            }
            (Some(text), None) => found.settings.push(Setting {
                key: name,
                text: (*text).to_owned(),
                origin: Origin::Variable(variable),
            }),
            (None, Some(path)) => {
                found.files.push(FileVariable {
                    key: name,
                    variable: file_variable,
                    path: (*path).to_owned(),
                });
            }
            (None, None) => {}
        }
    }
    for fault in unknown(set.keys().copied()) {
        if author == Author::Person { found.faults.push(fault) } else { found.warnings.push(fault) }
    }
    found
}
