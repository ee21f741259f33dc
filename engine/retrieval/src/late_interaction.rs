//! Compares the tokens of a query with those of a memory one by one: what each token of the query has as its best
//! likeness among them, weighted by what it says.

use std::collections::{BTreeSet, HashMap};

use super::built_in::{built_in, row_lengths};
use super::catalog::Catalog;
use super::rows::product;

/// Tokens of a query that are compared.
const ASKED_MAX: usize = BLOCK * BLOCKS_MAX;
/// Likenesses that are compared at once: what a processor does in one step.
const BLOCK: usize = 8;
const BLOCKS_MAX: usize = 8;

/// Likenesses to the tokens of a query, in their order; those behind the last are 0.
type Block = [f32; BLOCK];

/// The greater ones of both.
fn raise(best: &mut [Block], other: &[Block]) {
    for (best, other) in best.iter_mut().zip(other) {
        for lane in 0..BLOCK {
            best[lane] = if other[lane] > best[lane] { other[lane] } else { best[lane] };
        }
    }
}

/// The tokens of a query, and what is known of their likeness to others.
pub(super) struct Late {
    asked: Vec<(u32, f32)>,
    total: f32,
    /// For each token of the table its place among those that were met, from 1; 0 for the others.
    places: Vec<u16>,
    /// Likeness to the tokens of the query, by place: as many blocks for each as they need.
    likeness: Vec<Block>,
    blocks: usize,
    /// Where the best of a memory begin in `bests`: it stands beside several others, and is looked at once.
    memories: HashMap<u32, usize>,
    bests: Vec<Block>,
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
        let rows = if asked.is_empty() { 0 } else { built_in().table.rows() };
        Late {
            total: asked.iter().map(|(_, weight)| weight).sum(),
            places: vec![0; rows],
            likeness: Vec::new(),
            blocks: asked.len().div_ceil(BLOCK),
            memories: HashMap::new(),
            bests: Vec::new(),
            lengths: row_lengths(),
            asked,
        }
    }

    /// Weighted mean of the best likenesses among the tokens of these memories; 0 to 1.
    pub(super) fn score(&mut self, catalog: &Catalog, of: &[u32]) -> f64 {
        if self.total <= 0.0 {
            return 0.0;
        }
        let mut best = [[0.0; BLOCK]; BLOCKS_MAX];
        for number in of {
            let at = self.memory(catalog, *number);
            raise(&mut best, &self.bests[at..at + self.blocks]);
        }
        let best = best.as_flattened();
        let sum: f32 = self.asked.iter().zip(best).map(|((_, weight), best)| weight * best).sum();
        f64::from(sum / self.total)
    }

    /// Where the best likenesses of a memory begin.
    fn memory(&mut self, catalog: &Catalog, number: u32) -> usize {
        if let Some(at) = self.memories.get(&number) {
            return *at;
        }
        let at = self.bests.len();
        self.bests.resize(at + self.blocks, [0.0; BLOCK]);
        for piece in catalog.pieces_of(number) {
            let from = self.place(*piece) * self.blocks;
            raise(&mut self.bests[at..], &self.likeness[from..from + self.blocks]);
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
        let table = &built_in().table;
        let (row, length) = (table.row(piece.into()), self.lengths[usize::from(piece)]);
        for asked in self.asked.chunks(BLOCK) {
            let mut block = [0.0; BLOCK];
            for (likeness, (token, _)) in block.iter_mut().zip(asked) {
                let both = length * self.lengths[*token as usize];
                *likeness = if both > 0.0 { product(row, table.row(*token)) / both } else { 0.0 };
            }
            self.likeness.push(block);
        }
        let place = self.likeness.len() / self.blocks;
        // A table has no more rows than tokens have numbers.
        self.places[usize::from(piece)] = u16::try_from(place).unwrap_or(0);
        place - 1
    }
}
