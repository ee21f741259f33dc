//! Compares the tokens of a query with those of a memory one by one: what each token of the query has as its best likeness
//! among them, weighted by what it says.

use super::catalog::Catalog;
use super::model::Model;
use super::rows::product;

/// Tokens of a query that are compared.
const ASKED_MAX: usize = 64;
/// A likeness that was not looked at yet.
const UNKNOWN: f32 = f32::NAN;

/// The tokens of a query, and what is known of their likeness to others.
pub(super) struct Late<'a> {
    asked: Vec<(u32, f32)>,
    total: f32,
    /// For each token of the table, its likeness to each token of the query.
    likeness: Vec<f32>,
    lengths: &'a [f32],
    best: Vec<f32>,
}

impl Late<'_> {
    pub(super) fn new(catalog: &Catalog, text: &str) -> Late<'static> {
        let mut tokens = catalog.vectors.tokens(text);
        let mut seen = std::collections::BTreeSet::new();
        tokens.retain(|token| seen.insert(*token));
        tokens.truncate(ASKED_MAX);
        let asked: Vec<(u32, f32)> =
            tokens.into_iter().map(|token| (token, catalog.vectors.weight(token))).collect();
        let rows = if asked.is_empty() { 0 } else { Model::built_in().table.rows() };
        Late {
            total: asked.iter().map(|(_, weight)| weight).sum(),
            likeness: vec![UNKNOWN; rows * asked.len()],
            lengths: Model::lengths(),
            best: vec![0.0; asked.len()],
            asked,
        }
    }

    /// Weighted mean of the best likenesses among the tokens of these memories; 0 to 1.
    pub(super) fn score(&mut self, catalog: &Catalog, of: &[u32]) -> f64 {
        if self.total <= 0.0 {
            return 0.0;
        }
        self.best.fill(0.0);
        for number in of {
            for piece in catalog.pieces_of(*number) {
                self.compare(*piece);
            }
        }
        let sum: f32 = self.asked.iter().zip(&self.best).map(|((_, weight), best)| weight * best).sum();
        f64::from(sum / self.total)
    }

    fn compare(&mut self, piece: u16) {
        let start = usize::from(piece) * self.asked.len();
        let known = &mut self.likeness[start..start + self.asked.len()];
        if known.first().is_some_and(|first| first.is_nan()) {
            let table = &Model::built_in().table;
            let row = table.row(piece.into());
            let length = self.lengths[usize::from(piece)];
            for (likeness, (token, _)) in known.iter_mut().zip(&self.asked) {
                let both = length * self.lengths[*token as usize];
                *likeness = if both > 0.0 { product(row, table.row(*token)) / both } else { 0.0 };
            }
        }
        for (best, likeness) in self.best.iter_mut().zip(known) {
            *best = best.max(*likeness);
        }
    }
}
