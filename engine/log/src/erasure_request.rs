//! Forgetting payloads, the writer's part: a mark, the event that says so, and a new segment if need be.
//!
//! The mark is an empty file whose name says behind which event the forgetting stands; it is durable before that event
//! is and goes when no file holds the payloads any more ([`super::segment_eraser`]). So a start knows what was begun without
//! reading the log, and a mark without its event says that nothing was. Payloads in the segment that is being written
//! would have to be taken out under the writer's hand: it is sealed instead, and sealed segments are the keeper's.

use std::collections::BTreeSet;
use std::io;

use engine_core::event::{Draft, MEMORY_FORGOTTEN};
use engine_core::forgetting::Target;
use engine_core::limits::BATCH_EVENTS_MAX;
use serde::Serialize;
use thiserror::Error;

use super::commit::{Commit, CommitError, Key, Receipt};
use super::erasure_mark::{self, marks};
use super::erasures::ErasedSegment;
use super::rewrite;
use super::segment;
use super::writer::Writer;
use crate::storage::Storage;

/// What was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Id of the event that says so.
    pub event: String,
    /// Its number.
    pub seq: u64,
    /// Events without payload now.
    pub targets: BTreeSet<String>,
    /// Files that were written anew.
    pub segments: Vec<ErasedSegment>,
}

/// Why payloads were not forgotten, or not all of them.
#[derive(Debug, Error)]
pub enum EraseError {
    #[error("name 1 to {BATCH_EVENTS_MAX} events")]
    Count,
    #[error("the log has no event {0}")]
    Unknown(String),
    #[error("event {0} is of type {1}, which the log needs to verify")]
    Needed(String, String),
    #[error("the event that says so is not durable: {0}")]
    NotRecorded(#[from] CommitError),
    #[error("writing a segment anew failed: {0}; the next start goes on with it")]
    Io(#[from] io::Error),
}

impl Writer {
    /// Makes the events durable that say what is forgotten; taking it out of the files is the keeper's work from then
    /// on. `through` is the number of the last event whose payload goes.
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
        if let Err(fault) = erasure_mark::create(&*storage, after) {
            self.close("mark", &fault);
            return Err(self.refusal().unwrap_or(CommitError::Failing));
        }
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        self.commit_own(Commit { drafts, key, reply });
        let receipt = answer.try_recv().unwrap_or(Err(CommitError::Failing))?;
        self.seal_through(through);
        self.handles.erasures.ask();
        Ok(receipt)
    }

    /// Goes on in a new segment if this event is in the one that is being written.
    fn seal_through(&mut self, seq: u64) {
        if self.refusal().is_none() && self.active.as_ref().is_some_and(|active| active.first_seq() <= seq) {
            self.rotate();
        }
    }

    /// The same for what was begun before a crash: which payloads it names is read later.
    pub(super) fn seal_what_is_marked(&mut self) {
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

    /// Where these events are, for whoever knows no more than their ids: reads the whole log.
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
