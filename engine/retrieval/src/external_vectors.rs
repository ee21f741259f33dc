//! Vectors of the memories of a project that an external model made, as far as they exist.

use super::rows::Rows;
use crate::embeddings::{ActiveModel, digest, sent};
use engine_projection::MemoryRow;

/// At most one memory in this many may lack a vector. With more missing, recall would suffer, so the built-in vectors
/// are used.
const MISSING_ONE_IN: usize = 20;
/// Stands for the digest of a removed memory.
const GONE: u64 = 0;

#[derive(Debug, Default)]
pub(super) struct ExternalVectors {
    /// Id of the model that made them; 0 if none has.
    pub(super) model: i64,
    pub(super) rows: Rows,
    /// First 8 bytes of the digest of each text, so that the vector of an older text is not used for a newer one.
    pub(super) digests: Vec<u64>,
    /// By memory number: whether it has a vector.
    pub(super) has: Vec<bool>,
    /// Memories that have a vector.
    pub(super) present: usize,
    /// Memories that were removed.
    pub(super) removed: usize,
    /// Id of the last vector read from the store.
    pub(super) through: i64,
}

impl ExternalVectors {
    /// Appends the next memory of the project, without a vector.
    pub(super) fn push(&mut self, row: &MemoryRow) {
        self.digests.push(beginning(&digest(&sent(row))));
        self.has.push(false);
        self.rows.grow(self.digests.len());
    }

    pub(super) fn forget(&mut self, place: usize) {
        if std::mem::replace(&mut self.digests[place], GONE) != GONE {
            self.removed += 1;
        }
        self.present -= usize::from(std::mem::take(&mut self.has[place]));
        self.rows.clear(place);
    }

    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes() + 9 * self.digests.len()
    }

    pub(super) fn is_current(&self, answering: &ActiveModel) -> bool {
        self.model == answering.model && self.through >= answering.last
    }

    /// The vectors of a model, if nearly all memories have one.
    pub(super) fn rows(&self, model: i64) -> Option<&Rows> {
        let there = self.digests.len() - self.removed;
        let enough = (there - self.present) * MISSING_ONE_IN <= there;
        (self.model == model && enough).then_some(&self.rows)
    }

    /// Starts over if another model answers now.
    pub(super) fn begin(&mut self, answering: &ActiveModel) {
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

/// First 8 bytes of a digest, never `GONE`.
pub(super) fn beginning(digest: &[u8; 32]) -> u64 {
    let beginning = digest.first_chunk().map_or(GONE, |bytes| u64::from_le_bytes(*bytes));
    if beginning == GONE { 1 } else { beginning }
}
