//! Vectors of a project's memories that a model outside made, as far as they are there.

use super::rows::Rows;
use crate::embeddings::{Answering, digest, sent};
use engine_projection::MemoryRow;

/// Memories without a vector, one in so many: of more the lane of meaning would know too little, and the built-in
/// vectors answer.
const MISSING_ONE_IN: usize = 20;
/// The digest of what is not there any more.
const GONE: u64 = 0;

#[derive(Debug, Default)]
pub(super) struct ExternalVectors {
    /// Which model made them; 0 while none has.
    pub(super) model: i64,
    pub(super) rows: Rows,
    /// The beginning of the digest of each memory's text: a vector of another text is not taken for one of this.
    pub(super) digests: Vec<u64>,
    /// Which memories have their vector.
    pub(super) has: Vec<bool>,
    pub(super) present: usize,
    pub(super) gone: usize,
    /// The last vector that was looked at.
    pub(super) through: i64,
}

impl ExternalVectors {
    /// The next memory of the project.
    pub(super) fn push(&mut self, row: &MemoryRow) {
        self.digests.push(beginning(&digest(&sent(row))));
        self.has.push(false);
        self.rows.grow(self.digests.len());
    }

    pub(super) fn forget(&mut self, place: usize) {
        if std::mem::replace(&mut self.digests[place], GONE) != GONE {
            self.gone += 1;
        }
        self.present -= usize::from(std::mem::take(&mut self.has[place]));
        self.rows.clear(place);
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes() + 9 * self.digests.len()
    }

    pub(super) fn is_current(&self, answering: &Answering) -> bool {
        self.model == answering.model && self.through >= answering.last
    }

    /// The vectors of a model, when nearly all are there.
    pub(super) fn rows(&self, model: i64) -> Option<&Rows> {
        let there = self.digests.len() - self.gone;
        let enough = (there - self.present) * MISSING_ONE_IN <= there;
        (self.model == model && enough).then_some(&self.rows)
    }

    pub(super) fn begin(&mut self, answering: &Answering) {
        if self.model != answering.model {
            let places = self.digests.len();
            self.model = answering.model;
            self.rows = Rows::new(answering.dimension);
            self.rows.grow(places);
            self.has = vec![false; places];
            (self.present, self.through) = (0, 0);
        }
    }
}

/// Never the mark of what is gone.
pub(super) fn beginning(digest: &[u8; 32]) -> u64 {
    let beginning = digest.first_chunk().map_or(GONE, |bytes| u64::from_le_bytes(*bytes));
    if beginning == GONE { 1 } else { beginning }
}
