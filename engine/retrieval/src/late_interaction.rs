//! Late interaction: for each token of the query, the best similarity to any token of the memory; these values are
//! averaged with the IDF weights of the query tokens.

use std::collections::{BTreeSet, HashMap};

use super::built_in::{built_in, row_lengths};
use super::catalog::Catalog;
use super::rows::product;

/// Maximum number of query tokens that are compared.
const ASKED_MAX: usize = BLOCK * BLOCKS_MAX;
/// Number of similarities that one vector instruction processes.
const BLOCK: usize = 8;
const BLOCKS_MAX: usize = 8;

/// Similarities to a block of query tokens, in the order of the tokens; unused places are 0.
type Block = [f32; BLOCK];

/// Sets each element of `best` to the maximum of itself and the same element of `other`.
fn raise(best: &mut [Block], other: &[Block]) {
    for (best, other) in best.iter_mut().zip(other) {
        for lane in 0..BLOCK {
            best[lane] = if other[lane] > best[lane] { other[lane] } else { best[lane] };
        }
    }
}

/// The tokens of a query, with cached similarities to the tokens of memories.
pub(super) struct LateInteraction {
    /// Query tokens with their weights.
    asked: Vec<(u32, f32)>,
    /// Sum of the weights of `asked`.
    total: f32,
    /// For each token of the table, its index in `likeness`, counted from 1; 0 if its similarities are not computed
    /// yet.
    places: Vec<u16>,
    /// Similarities of each token to the query tokens; each token has `blocks` blocks.
    likeness: Vec<Block>,
    blocks: usize,
    /// For each memory number, the index in `bests` at which its maxima begin. They are cached, because a memory is a
    /// neighbour of several others.
    memories: HashMap<u32, usize>,
    bests: Vec<Block>,
    lengths: &'static [f32],
}

impl LateInteraction {
    pub(super) fn new(catalog: &Catalog, text: &str) -> LateInteraction {
        let mut tokens = catalog.vectors.tokens(text);
        let mut seen = BTreeSet::new();
        tokens.retain(|token| seen.insert(*token));
        tokens.truncate(ASKED_MAX);
        let asked: Vec<(u32, f32)> =
            tokens.into_iter().map(|token| (token, catalog.vectors.weight(token))).collect();
        let rows = if asked.is_empty() { 0 } else { built_in().table.rows() };
        LateInteraction {
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

    /// Weighted mean, from 0 to 1, of the best similarity of each query token to the tokens of the memories `of`.
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

    /// Returns the index in `bests` at which the maxima of a memory begin; computes the maxima on first use.
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

    /// Returns the index of a token in `likeness`; computes the similarities of the token on first use.
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
        // The table has at most as many rows as a `u16` can number.
        self.places[usize::from(piece)] = u16::try_from(place).unwrap_or(0);
        place - 1
    }
}
