//! Variables of earlier systems that clients of the engine may still set.

use std::collections::BTreeMap;

use super::sources::{Origin, Setting};
use super::variables::variable;

/// What replaces an old variable.
enum Replacement {
    /// A key with the same meaning.
    Key(&'static str, &'static str),
    /// No key; the text says what to use instead.
    Elsewhere(&'static str),
}

use Replacement::{Elsewhere, Key};

const WEIGHTS: &str = "set the weights of the ranking with PUT /v1/retrieval/weights";

/// Old variables with their replacements; of two that are both set, the later one applies.
const OLD_NAMES: [(&str, Replacement); 10] = [
    ("RAG_TOP_K", Key("retrieval", "searchLimit")),
    ("RAG_DEFAULT_TOP_K", Key("retrieval", "searchLimit")),
    ("RAG_TOP_K_DEFAULT", Key("retrieval", "searchLimit")),
    ("RAG_TOP_K_MAX", Elsewhere("a search returns at most 1000 results")),
    ("FUSION_LTR_WEIGHT", Elsewhere(WEIGHTS)),
    ("FUSION_CONCEPTUAL_WEIGHT", Elsewhere(WEIGHTS)),
    ("RAG_FUSION_LTR", Elsewhere(WEIGHTS)),
    ("RAG_FUSION_CONCEPTUAL", Elsewhere(WEIGHTS)),
    ("RAG_FUSION_LTR_WEIGHT", Elsewhere(WEIGHTS)),
    ("RAG_FUSION_CONCEPTUAL_WEIGHT", Elsewhere(WEIGHTS)),
];

/// The old names, for documentation and for the list of variables that the engine reads.
pub fn old_names() -> impl Iterator<Item = &'static str> {
    OLD_NAMES.iter().map(|(name, _)| *name)
}

/// What the old variables say that are set: values, and a warning for each variable.
pub(super) fn apply(set: &BTreeMap<&str, &str>) -> (Vec<Setting>, Vec<String>) {
    let (mut settings, mut warnings) = (Vec::new(), Vec::new());
    for (name, replacement) in &OLD_NAMES {
        let Some(text) = set.get(name) else { continue };
        match replacement {
            Key(section, key) => {
                let new = variable(section, key);
                warnings.push(format!("the variable {name} is an old name of {section}.{key}: use {new}"));
                settings.push(Setting {
                    key: format!("{section}.{key}"),
                    text: (*text).to_owned(),
                    origin: Origin::Variable((*name).to_owned()),
                });
            }
            Elsewhere(instead) => warnings.push(format!("the variable {name} has no effect: {instead}")),
        }
    }
    (settings, warnings)
}
