//! Compares the tokens of a query with those of a memory one by one: what each token of the query has as its best likeness
//! among them, weighted by what it says.

use std::collections::{BTreeSet, HashMap};

use super::catalog::Catalog;
use super::model::Model;
use super::rows::product;

/// Tokens of a query that are compared.
const ASKED_MAX: usize = 64;

/// The tokens of a query, and what is known of their likeness to others.
pub(super) struct Late {
    asked: Vec<(u32, f32)>,
    total: f32,
    /// For each token of the table its place among those that were met, from 1; 0 for the others.
    places: Vec<u16>,
    /// Likeness to each token of the query, by place.
    likeness: Vec<f32>,
    /// Where the best of a memory begin in `bests`: it stands beside several others, and is looked at once.
    memories: HashMap<u32, usize>,
    bests: Vec<f32>,
    lengths: &'static [f32],
}

impl Late {
    pub(super) fn new(catalog: &Catalog, text: &str) -> Late {
        let mut tokens = catalog.vectors.tokens(text);
        let mut seen = BTreeSet::new();
        tokens.retain(|token| seen.insert(*token));
        tokens.truncate(ASKED_MAX);
        let asked: Vec<(u32, f32)> =
            tokens.into_iter().map(|token| (token, catalog.vectors.weight(token))).collect();
        let rows = if asked.is_empty() { 0 } else { Model::built_in().table.rows() };
        Late {
            total: asked.iter().map(|(_, weight)| weight).sum(),
            places: vec![0; rows],
            likeness: Vec::new(),
            memories: HashMap::new(),
            bests: Vec::new(),
            lengths: Model::lengths(),
            asked,
        }
    }

    /// Weighted mean of the best likenesses among the tokens of these memories; 0 to 1.
    pub(super) fn score(&mut self, catalog: &Catalog, of: &[u32]) -> f64 {
        if self.total <= 0.0 {
            return 0.0;
        }
        let mut best = [0.0_f32; ASKED_MAX];
        for number in of {
            let at = self.memory(catalog, *number);
            let bests = &self.bests[at..at + self.asked.len()];
            best.iter_mut().zip(bests).for_each(|(best, other)| *best = best.max(*other));
        }
        let sum: f32 = self.asked.iter().zip(best).map(|((_, weight), best)| weight * best).sum();
        f64::from(sum / self.total)
    }

    /// Where the best likenesses of a memory begin.
    fn memory(&mut self, catalog: &Catalog, number: u32) -> usize {
        if let Some(at) = self.memories.get(&number) {
            return *at;
        }
        let (at, count) = (self.bests.len(), self.asked.len());
        self.bests.resize(at + count, 0.0);
        for piece in catalog.pieces_of(number) {
            let from = self.place(*piece) * count;
            let likeness = &self.likeness[from..from + count];
            let bests = &mut self.bests[at..];
            bests.iter_mut().zip(likeness).for_each(|(best, likeness)| *best = best.max(*likeness));
        }
        self.memories.insert(number, at);
        at
    }

    /// The place of a token, compared with those of the query.
    fn place(&mut self, piece: u16) -> usize {
        let known = self.places[usize::from(piece)];
        if known > 0 {
            return usize::from(known) - 1;
        }
        let table = &Model::built_in().table;
        let (row, length) = (table.row(piece.into()), self.lengths[usize::from(piece)]);
        let lengths = self.lengths;
        self.likeness.extend(self.asked.iter().map(|(token, _)| {
            let both = length * lengths[*token as usize];
            if both > 0.0 { product(row, table.row(*token)) / both } else { 0.0 }
        }));
        let place = self.likeness.len() / self.asked.len();
        // A table has no more rows than tokens have numbers.
        self.places[usize::from(piece)] = u16::try_from(place).unwrap_or(0);
        place - 1
    }
}
