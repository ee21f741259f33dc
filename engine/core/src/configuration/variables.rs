//! Names of the variables that set keys.

use super::{SECTIONS, keys};

/// Prefix of every variable.
pub const VARIABLE_PREFIX: &str = "MEMORY_ENGINE_";
/// Suffix of a variable with the path of a file that contains the value.
pub const FILE_SUFFIX: &str = "_FILE";

/// Name of the variable that sets a key, for example `MEMORY_ENGINE_LIMITS_KEEP_ALIVE_SECONDS`.
#[must_use]
pub fn variable(section: &str, key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}_{}", upper_snake(section), upper_snake(key))
}

fn upper_snake(camel: &str) -> String {
    let mut text = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// Variables that begin like those of a section, but set no key. Other variables with the prefix may belong to another
/// program. Kubernetes sets some for every Service, also for one that is called memory-engine-log.
pub(super) fn unknown<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let known: Vec<String> = keys().map(|(section, key)| variable(section, key.name)).collect();
    let is_known = |name: &str| {
        let base = name.strip_suffix(FILE_SUFFIX);
        known.iter().any(|known| known == name || Some(known.as_str()) == base)
    };
    let in_section = |name: &str| {
        let rest = name.strip_prefix(VARIABLE_PREFIX)?;
        let section = SECTIONS.iter().find(|(section, _)| {
            let rest = rest.strip_prefix(upper_snake(section).as_str()).unwrap_or_default();
            rest.starts_with('_') && !is_of_a_service(rest)
        });
        section.map(|(section, _)| *section)
    };
    names
        .filter(|name| !is_known(name))
        .filter_map(|name| {
            let section = in_section(name)?;
            let of_section = keys().filter(|(of, _)| *of == section);
            let names: Vec<String> = of_section.map(|(of, key)| variable(of, key.name)).collect();
            Some(format!("the variable {name} sets no key; known are {}", names.join(", ")))
        })
        .collect()
}

/// Whether a variable ends as those that Kubernetes sets for a Service, such as `…_SERVICE_HOST` and `…_PORT_80_TCP`.
fn is_of_a_service(rest: &str) -> bool {
    rest.starts_with("_SERVICE_") || rest == "_PORT" || rest.starts_with("_PORT_")
}
