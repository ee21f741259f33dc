//! The writer's part of an erasure. The writer creates a marker, commits the erasure events and rotates the segment if
//! needed.
//!
//! The marker is an empty file whose name contains the number of the event before the erasure. The marker becomes
//! durable before the erasure event. It is removed when no file contains the payloads any more
//! ([`super::segment_eraser`]). The next start therefore finds unfinished erasures without reading the log. If a marker
//! exists but its event does not, the erasure was not recorded. Payloads cannot be removed from the active segment
//! while the writer appends to it. The writer therefore seals the active segment, and the keeper rewrites sealed
//! segments.

use std::collections::BTreeSet;
use std::io;

use engine_core::event::{Draft, MEMORY_FORGOTTEN};
use engine_core::forgetting::Target;
use engine_core::limits::BATCH_EVENTS_MAX;
use serde::Serialize;
use thiserror::Error;

use super::commit::{Caller, Commit, CommitError, Key, Receipt};
use super::erasure_marker::{self, marks};
use super::erasures::ErasedSegment;
use super::rewrite;
use super::segment;
use super::writer::Writer;

/// Result of an erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Id of the event that records the erasure.
    pub event: String,
    /// Sequence number of the event that records the erasure.
    pub seq: u64,
    /// Ids of the events whose payloads were erased.
    pub targets: BTreeSet<String>,
    /// Segments that the erasure examined or rewrote.
    pub segments: Vec<ErasedSegment>,
}

/// Why payloads were not erased, or not all of them.
#[derive(Debug, Error)]
pub enum EraseError {
    #[error("list 1 to {BATCH_EVENTS_MAX} event ids")]
    Count,
    #[error("the log has no event {0}")]
    Unknown(String),
    #[error("event {0} is of type {1}, which the log needs to verify")]
    Needed(String, String),
    #[error("the erasure event is not durable: {0}")]
    NotRecorded(#[from] CommitError),
    #[error("rewriting a segment failed: {0}; the next start continues the erasure")]
    Io(#[from] io::Error),
}

impl Writer {
    /// Makes the erasure events durable. The keeper then removes the payloads from the files. `through` is the number
    /// of the last event whose payload is erased.
    ///
    /// # Errors
    /// The log cannot be written, or the key was used with another request.
    pub fn begin_erasure(
        &mut self,
        drafts: Vec<Draft>,
        through: u64,
        key: Option<Key>,
    ) -> Result<Receipt, CommitError> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        if let Some(done) = key.as_ref().map_or(Ok(None), |key| self.done_before(key))? {
            return Ok(done);
        }
        let after = self.active.as_ref().map_or(0, |active| active.link.seq);
        let storage = std::sync::Arc::clone(&self.handles.context.storage);
        if let Err(fault) = erasure_marker::create(&*storage, after) {
            self.close("mark", &fault);
            return Err(self.refusal().unwrap_or(CommitError::Failing));
        }
        let (reply, mut answer) = Caller::channel();
        self.commit_own(Commit { drafts, key, reply });
        let receipt = answer.try_recv().unwrap_or(Err(CommitError::Failing))?;
        self.seal_through(through);
        self.handles.erasures.ask();
        Ok(receipt)
    }

    /// Rotates to a new segment if event `seq` is in the active segment.
    fn seal_through(&mut self, seq: u64) {
        if self.refusal().is_none() && self.active.as_ref().is_some_and(|active| active.first_seq() <= seq) {
            self.rotate();
        }
    }

    /// Seals the active segment if an erasure was started before a crash. The keeper reads the targets of the erasure
    /// from the log later.
    pub(super) fn seal_for_pending_erasures(&mut self) {
        match marks(&*self.handles.context.storage) {
            Ok(marks) => {
                if let Some(last) = marks.last() {
                    self.seal_through(*last);
                    self.handles.erasures.ask();
                }
            }
            Err(fault) => self.close("mark", &fault),
        }
    }

    /// Finds the position of the events with the ids `ids`. Reads the whole log.
    ///
    /// # Errors
    /// The number of ids is out of range, the log cannot be read, or an event is missing or must not be erased.
    pub fn locate(&self, ids: &BTreeSet<String>) -> Result<Vec<Target>, EraseError> {
        if ids.is_empty() || ids.len() > BATCH_EVENTS_MAX {
            return Err(EraseError::Count);
        }
        let (mut missing, mut targets) = (ids.clone(), Vec::new());
        for segment in segment::list(&*self.handles.context.storage)?.segments {
            for (target, kind) in rewrite::locate(&*self.handles.context.storage, segment, ids)? {
                if kind == MEMORY_FORGOTTEN || kind.starts_with("log.") {
                    return Err(EraseError::Needed(target.id, kind));
                }
                missing.remove(&target.id);
                targets.push(target);
            }
        }
        missing.pop_first().map_or(Ok(targets), |id| Err(EraseError::Unknown(id)))
    }
}
