//! The provider of the vectors for semantic search.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The provider of the vectors for semantic search. A provider with settings would have an object of its own beside
/// `provider`; the present ones need no settings, and send nothing outside of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Embedding {
    /// Which provider computes vectors. `builtin` (default) uses a table in the engine that places words with similar
    /// meaning close together. `hashing` computes vectors from spelling only. `none` disables vectors: searches use
    /// words and the structure in which memories were saved.
    #[serde(default)]
    pub provider: EmbeddingProvider,
}

/// Which provider computes vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingProvider {
    /// A table in the engine that places words with similar meaning close together.
    #[default]
    Builtin,
    /// Computed in the engine from spelling only: needs no table, and ignores meaning.
    Hashing,
    /// No vectors: searches use words and the structure in which memories were saved.
    #[serde(rename = "none")]
    Off,
}

impl EmbeddingProvider {
    /// Spelling in the engine's configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Hashing => "hashing",
            Self::Off => "none",
        }
    }
}
