//! The embedding model that is compiled into the binary: a table of token vectors, and its tokenizer.

use std::sync::LazyLock;

use engine_core::embedding::table::Table;
use engine_core::embedding::wordpiece::WordPiece;
use engine_core::tokens;

use super::rows::product;

/// Distilled from all-MiniLM-L6-v2; engine/data/README.md describes how.
static TABLE: &[u8] = include_bytes!("../../data/static-minilm-256.table");
static VOCABULARY: &str = include_str!("../../data/static-minilm-vocab.txt");

/// The built-in table and its tokenizer.
#[derive(Debug)]
pub(super) struct BuiltIn {
    pub(super) pieces: WordPiece,
    pub(super) table: Table,
}

static BUILT_IN: LazyLock<BuiltIn> = LazyLock::new(|| BuiltIn {
    pieces: WordPiece::read(VOCABULARY).expect("the vocabulary is part of the program and tested"),
    table: Table::read(TABLE).expect("the table is part of the program and tested"),
});

/// Euclidean length of each row of the table, used for cosine similarities of tokens.
static LENGTHS: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let rows = u32::try_from(BUILT_IN.table.rows()).unwrap_or(u32::MAX);
    (0..rows).map(|token| product(BUILT_IN.table.row(token), BUILT_IN.table.row(token)).sqrt()).collect()
});

/// Number of tokens of a text: at least as many as an external provider counts for it. All token limits use this count.
pub fn token_count(text: &str) -> usize {
    tokens::count(text, &BUILT_IN.pieces)
}

/// The model, loaded on first use.
pub(super) fn built_in() -> &'static BuiltIn {
    &BUILT_IN
}

/// Euclidean length of each row of the table, used for cosine similarities of tokens.
pub(super) fn row_lengths() -> &'static [f32] {
    &LENGTHS
}
