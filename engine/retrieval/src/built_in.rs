//! The model that is part of the program: a table of token vectors, and the tokenizer it was made with.

use std::sync::LazyLock;

use engine_core::embedding::table::Table;
use engine_core::embedding::wordpiece::WordPiece;
use engine_core::tokens;

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

/// Tokens of a text, never fewer than a provider counts: the one count of everything that is bounded by tokens.
pub fn token_count(text: &str) -> usize {
    tokens::count(text, &BUILT_IN.pieces)
}

/// The model, read when it is first needed.
pub(super) fn built_in() -> &'static BuiltIn {
    &BUILT_IN
}

/// The length of each row of the table, so that two tokens can be compared.
pub(super) fn row_lengths() -> &'static [f32] {
    &LENGTHS
}
