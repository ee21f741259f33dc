//! The model that computes vectors inside the engine.

use engine_core::embedding::hashing;

use super::built_in::built_in;
use super::directory::DirectoryModel;

/// An embedding model that runs in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Model {
    /// No vectors: search uses words alone.
    Off,
    /// The built-in table of token vectors. Tokens are weighted by their rarity in the project.
    #[default]
    BuiltIn,
    /// Vectors are computed from hashes of the spelling, without a table.
    Hashing,
    /// A model that was read from files. Like the built-in model, it stays in memory as long as the process runs.
    Directory(&'static DirectoryModel),
}

impl Model {
    /// Name and version of the model.
    pub fn id(self) -> &'static str {
        match self {
            Model::Off => "none",
            Model::BuiltIn => "static-minilm-256/1",
            Model::Hashing => "hashing-256/1",
            Model::Directory(model) => model.id(),
        }
    }

    /// Dimension of the model's vectors; 0 if the model makes none.
    pub fn dimension(self) -> usize {
        match self {
            Model::Off => 0,
            Model::BuiltIn => built_in().table.dimension(),
            Model::Hashing => hashing::DIMENSION,
            Model::Directory(model) => model.dimension(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Texts with the token ids and vectors that the model's own tokenizer and table produce.
    const VECTORS: &str = include_str!("../../core/tests/fixtures/embedding/vectors.json");

    #[test]
    fn tokens_and_vectors_are_those_of_the_model() {
        let model = built_in();
        let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
        assert!(vectors.len() >= 30);
        for vector in vectors {
            let text = vector["text"].as_str().unwrap();
            let tokens = model.pieces.encode(text);
            assert_eq!(serde_json::json!(tokens), vector["ids"], "{text:?}");
            let Some(mean) = vector["mean"].as_array() else { continue };
            let embedded = model.table.embed(&tokens, |_| 1.0);
            for (found, expected) in embedded.iter().zip(mean) {
                assert!((f64::from(*found) - expected.as_f64().unwrap()).abs() < 1e-4, "{text:?}");
            }
        }
    }
}
