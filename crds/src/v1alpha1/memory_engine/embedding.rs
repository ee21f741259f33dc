//! What turns memories into vectors, by which they are found by meaning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What makes the vectors by which memories are found by meaning. A provider that has to be told more than its name has an
/// object of the same name beside `provider`; those there are now need nothing, and nothing leaves the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Embedding {
    /// What makes them. `builtin`, the default: a table in the program, in which words of like meaning are near each other.
    /// `hashing`: the program, from spelling alone. `none`: nothing; words and the structure memories were saved in decide.
    #[serde(default)]
    pub provider: EmbeddingProvider,
}

/// What makes vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingProvider {
    /// A table in the program: words of like meaning are near each other.
    #[default]
    Builtin,
    /// The program, from spelling alone: takes no table, and knows no meaning.
    Hashing,
    /// Nothing: words and the structure memories were saved in decide.
    #[serde(rename = "none")]
    Off,
}

impl EmbeddingProvider {
    /// As the engine's configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Hashing => "hashing",
            Self::Off => "none",
        }
    }
}
