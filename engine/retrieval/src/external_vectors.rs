//! The vectors of a project's memories that an external model made. Some may not exist yet.

use super::rows::Rows;
use crate::embeddings::{ActiveModel, digest, sent};
use engine_projection::MemoryRow;

/// At most one memory in this many may lack a vector. If more lack one, recall would suffer, so searches use the
/// built-in vectors.
const MISSING_ONE_IN: usize = 20;
/// Value that replaces the digest of a removed memory.
const GONE: u64 = 0;

#[derive(Debug, Default)]
pub(super) struct ExternalVectors {
    /// Id of the model that made the vectors; 0 if there are none.
    pub(super) model: i64,
    pub(super) rows: Rows,
    /// First 8 bytes of the digest of each text. They prevent that the vector of an older text is used for a newer one.
    pub(super) digests: Vec<u64>,
    /// For each memory number, whether the memory has a vector.
    pub(super) has: Vec<bool>,
    /// Number of memories that have a vector.
    pub(super) present: usize,
    /// Number of memories that were removed.
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

    /// The vectors of this model, if nearly all memories have one; otherwise `None`.
    pub(super) fn rows(&self, model: i64) -> Option<&Rows> {
        let there = self.digests.len() - self.removed;
        let enough = (there - self.present) * MISSING_ONE_IN <= there;
        (self.model == model && enough).then_some(&self.rows)
    }

    /// Discards all vectors if searches now use another model.
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

/// First 8 bytes of a digest; the result is never `GONE`.
pub(super) fn beginning(digest: &[u8; 32]) -> u64 {
    let beginning = digest.first_chunk().map_or(GONE, |bytes| u64::from_le_bytes(*bytes));
    if beginning == GONE { 1 } else { beginning }
}
