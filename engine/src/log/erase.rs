//! Forgetting payloads: the event that says so, then the segments without them.

use std::collections::BTreeSet;
use std::io;

use engine_core::event::MEMORY_FORGOTTEN;
use engine_core::limits::BATCH_EVENTS_MAX;
use serde::Serialize;
use thiserror::Error;

use super::commit::CommitError;
use super::rewrite;
use super::segment::{self, Segment};
use super::writer::Writer;

/// What was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Erased {
    /// Id of the event that says so.
    pub(crate) event: String,
    /// Its number.
    pub(crate) seq: u64,
    /// Events without payload now.
    pub(crate) targets: BTreeSet<String>,
    /// Files that were written anew.
    pub(crate) segments: Vec<String>,
}

/// Why payloads were not forgotten, or not all of them. Doing it again is safe.
#[derive(Debug, Error)]
pub(crate) enum EraseError {
    #[error("name 1 to {BATCH_EVENTS_MAX} events")]
    Count,
    #[error("the log has no event {0}")]
    Unknown(String),
    #[error("event {0} is of type {1}, which the log needs to verify")]
    Needed(String, String),
    #[error("the event that says so is not durable: {0}")]
    NotRecorded(#[from] CommitError),
    #[error("writing a segment anew failed: {0}; repeat the command")]
    Io(#[from] io::Error),
}

#[derive(Serialize)]
struct Forgotten<'a> {
    targets: &'a BTreeSet<String>,
    reason: &'a str,
}

impl Writer {
    /// Forgets the payloads of these events. Under the writer's own hand: nothing is appended meanwhile.
    pub(crate) fn erase(&mut self, targets: &BTreeSet<String>, reason: &str) -> Result<Erased, EraseError> {
        if targets.is_empty() || targets.len() > BATCH_EVENTS_MAX {
            return Err(EraseError::Count);
        }
        if let Some(refusal) = self.refusal() {
            return Err(refusal.into());
        }
        let places = self.places_of(targets)?;
        let receipt = self.record(MEMORY_FORGOTTEN, None, &Forgotten { targets, reason })?;
        let storage = std::sync::Arc::clone(&self.parts.storage);
        let active = self.active.as_ref().map(|active| active.first_seq());
        let mut segments = Vec::new();
        for segment in places {
            if active == Some(segment.first_seq) {
                self.let_go();
            }
            rewrite::rewrite(&*storage, segment, targets, &receipt.id)?;
            segments.push(segment.name());
        }
        self.look_at_storage();
        Ok(Erased { event: receipt.id, seq: receipt.last_seq, targets: targets.clone(), segments })
    }

    /// The segments these events are in.
    fn places_of(&self, targets: &BTreeSet<String>) -> Result<Vec<Segment>, EraseError> {
        let (mut missing, mut places) = (targets.clone(), Vec::new());
        for segment in segment::list(&*self.parts.storage)?.segments {
            let found = rewrite::find(&*self.parts.storage, segment, targets)?;
            for (id, kind) in &found {
                if kind == MEMORY_FORGOTTEN || kind.starts_with("log.") {
                    return Err(EraseError::Needed(id.clone(), kind.clone()));
                }
                missing.remove(id);
            }
            if !found.is_empty() {
                places.push(segment);
            }
        }
        missing.pop_first().map_or(Ok(places), |id| Err(EraseError::Unknown(id)))
    }
}
