//! What turns texts into vectors.

use std::sync::LazyLock;

use engine_core::embedding::hashing;
use engine_core::embedding::table::Table;
use engine_core::embedding::wordpiece::WordPiece;
use engine_core::tokens;

use super::directory::DirectoryModel;
use super::rows::product;

/// Distilled from all-MiniLM-L6-v2; engine/data/README.md says how.
static TABLE: &[u8] = include_bytes!("../../data/static-minilm-256.table");
static VOCABULARY: &str = include_str!("../../data/static-minilm-vocab.txt");

/// The built-in table and the tokens it has rows for.
#[derive(Debug)]
pub(super) struct BuiltIn {
    pub(super) pieces: WordPiece,
    pub(super) table: Table,
}

static BUILT_IN: LazyLock<BuiltIn> = LazyLock::new(|| BuiltIn {
    pieces: WordPiece::read(VOCABULARY).expect("the vocabulary is part of the program and tested"),
    table: Table::read(TABLE).expect("the table is part of the program and tested"),
});

/// The length of each row of the table, so that two tokens can be compared.
static LENGTHS: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let rows = u32::try_from(BUILT_IN.table.rows()).unwrap_or(u32::MAX);
    (0..rows).map(|token| product(BUILT_IN.table.row(token), BUILT_IN.table.row(token)).sqrt()).collect()
});

/// How vectors are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Model {
    /// None are made: words alone are searched.
    Off,
    /// The built-in table, its tokens weighted by how rare they are in the project.
    #[default]
    BuiltIn,
    /// Spelling alone, without a table.
    Hashing,
    /// A model that was read from files. It lives as long as the process, as the built-in one does.
    Directory(&'static DirectoryModel),
}

impl Model {
    /// Name and version, kept with what was made by it.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Model::Off => "none",
            Model::BuiltIn => "static-minilm-256/1",
            Model::Hashing => "hashing-256/1",
            Model::Directory(model) => model.id(),
        }
    }

    /// Numbers in a vector.
    pub(crate) fn dimension(self) -> usize {
        match self {
            Model::Off => 0,
            Model::BuiltIn => BUILT_IN.table.dimension(),
            Model::Hashing => hashing::DIMENSION,
            Model::Directory(model) => model.dimension(),
        }
    }

    pub(super) fn lengths() -> &'static [f32] {
        &LENGTHS
    }

    pub(super) fn built_in() -> &'static BuiltIn {
        &BUILT_IN
    }
}

/// Tokens of a text, never fewer than a provider counts: the one count of everything that is bounded by tokens.
pub(crate) fn token_count(text: &str) -> usize {
    tokens::count(text, &BUILT_IN.pieces)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Texts with the tokens and vectors that the model's own tokenizer and the table give.
    const VECTORS: &str = include_str!("../../core/tests/fixtures/embedding/vectors.json");

    #[test]
    fn tokens_and_vectors_are_those_of_the_model() {
        let model = Model::built_in();
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
