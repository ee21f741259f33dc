//! Removes erased payloads from the files of the log. The keeper runs this part of an erasure.
//!
//! Files with torn bytes are removed first, because their contents are unknown. Then each affected sealed segment is
//! rewritten. The marker is removed last. After a crash the marker still exists, and the next start repeats the whole
//! erasure.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::event::{ForgottenPayload, MEMORY_FORGOTTEN};
use engine_core::format::EventLine;
use engine_core::limits::BATCH_EVENTS_MAX;

use super::erasure_marker::{mark_path, marks};
use super::erasures::{ErasedFiles, ErasedSegment};
use super::handles::LogHandles;
use super::published::Head;
use super::reader::LogReader;
use super::rewrite::{self, Targets};
use super::segment::{DIRECTORY, Segment};
use super::torn_bytes;
use crate::storage::{FailPoint, ignore_missing};

/// Delay before a failed step is retried, because a full volume stays full for a while.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// An erasure recorded in the log.
#[derive(Debug)]
struct Erasure {
    after: u64,
    targets: Targets,
    /// First event numbers of the segments still to process, last one first.
    left: Vec<u64>,
    files: ErasedFiles,
}

/// Result of one step.
#[derive(Debug)]
pub(super) enum Step {
    /// No work is due now.
    Nothing,
    /// Work was done. Contains the segment whose file was replaced, if any.
    Done(Option<Segment>),
}

/// Removes payloads from files, one segment at a time.
#[derive(Debug)]
pub(super) struct Eraser {
    handles: LogHandles,
    /// The request counter at the last search for markers.
    last_search: Option<u64>,
    current: Option<Erasure>,
    try_after: Option<Instant>,
    pub(super) patience: Duration,
}

impl Eraser {
    pub(super) fn new(handles: LogHandles) -> Eraser {
        Eraser { handles, last_search: None, current: None, try_after: None, patience: RETRY_DELAY }
    }

    /// Whether work is due immediately.
    pub(super) fn is_due(&self) -> bool {
        let waiting = self.try_after.is_some_and(|after| Instant::now() < after);
        let asked = self.last_search != Some(self.handles.erasures.asked());
        !waiting && (asked || self.current.is_some()) && self.handles.context.published.fault().is_none()
    }

    /// Does one bounded unit of work. A failure is retried later.
    pub(super) fn step(&mut self) -> Step {
        // Read the counter before the segments: the writer starts the new segment before it counts the request.
        let asked = self.handles.erasures.asked();
        let Some((head, segments)) = self.handles.context.published.extent() else { return Step::Nothing };
        let stepped = match self.current.take() {
            Some(erasure) => self.continue_erasure(erasure, &segments),
            None => self.find(asked, &head, &segments),
        };
        stepped.unwrap_or_else(|fault| {
            tracing::error!(%fault, "erased payloads are still in a file: the erasure is retried");
            self.handles.context.metrics.storage_failures.with_label_values(&["erase"]).inc();
            self.try_after = Some(Instant::now() + self.patience);
            self.last_search = None;
            Step::Nothing
        })
    }

    /// Looks for a marker whose events are durable.
    fn find(&mut self, asked: u64, head: &Head, segments: &[Segment]) -> io::Result<Step> {
        let sealed_through = segments.last().map_or(0, |last| last.first_seq.saturating_sub(1));
        for after in marks(&*self.handles.context.storage)?.into_iter().filter(|after| *after < head.seq) {
            let targets = self.targets(after)?;
            if targets.is_empty() {
                // The erasure event never became durable. Another event now has its sequence number.
                self.unmark(after)?;
                continue;
            }
            if targets.keys().next_back().is_some_and(|seq| *seq > sealed_through) {
                // The writer rotates to a new segment first, and requests the erasure after that.
                continue;
            }
            let holds = |place: &usize| {
                let end = segments.get(place + 1).map_or(u64::MAX, |next| next.first_seq);
                targets.range(segments[*place].first_seq..end).next().is_some()
            };
            let left =
                (0..segments.len()).rev().filter(holds).map(|place| segments[place].first_seq).collect();
            let torn = torn_bytes::remove_all(&*self.handles.context.storage)?;
            let files = ErasedFiles { segments: Vec::new(), torn };
            self.current = Some(Erasure { after, targets, left, files });
            return Ok(Step::Done(None));
        }
        self.last_search = Some(asked);
        Ok(Step::Nothing)
    }

    /// The targets of the erasure whose first event follows event `after`. Empty if the following events do not record
    /// an erasure.
    fn targets(&self, after: u64) -> io::Result<Targets> {
        let log =
            LogReader::new(Arc::clone(&self.handles.context.storage), self.handles.context.published.clone());
        let mut targets = BTreeMap::new();
        let lines = log.lines_after(after, BATCH_EVENTS_MAX, usize::MAX)?;
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(event) = EventLine::decode(line) else { break };
            let place = u64::from(event.envelope.batch[0]);
            if event.envelope.kind != MEMORY_FORGOTTEN || event.envelope.seq != after + place {
                break;
            }
            let payload =
                event.payload().and_then(|text| serde_json::from_str::<ForgottenPayload>(text).ok());
            let ForgottenPayload { targets: ids, seqs, .. } = payload.unwrap_or_default();
            let by: Arc<str> = event.envelope.id.as_ref().into();
            targets.extend(seqs.into_iter().zip(ids.into_iter().map(|id| (id, Arc::clone(&by)))));
        }
        Ok(targets)
    }

    fn continue_erasure(&mut self, mut erasure: Erasure, segments: &[Segment]) -> io::Result<Step> {
        let storage = &*self.handles.context.storage;
        let Some(first_seq) = erasure.left.pop() else {
            self.unmark(erasure.after)?;
            let Erasure { after, files, targets, .. } = erasure;
            tracing::info!(
                events = targets.len(),
                segments = files.segments.len(),
                "payloads were erased from the log"
            );
            self.handles.erasures.finished(after + 1, files);
            return Ok(Step::Done(None));
        };
        let Some(segment) = segments.iter().find(|segment| segment.first_seq == first_seq).copied() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "a segment of the log is gone"));
        };
        let rewritten = rewrite::holds_any(storage, segment, &erasure.targets)? > 0;
        if rewritten {
            let (len, space) = (storage.status(&segment.path())?.len, storage.space()?);
            if space.available < space.reserve() + len {
                return Err(io::Error::new(
                    io::ErrorKind::StorageFull,
                    "rewriting a segment needs more space",
                ));
            }
            rewrite::rewrite(storage, segment, &erasure.targets)?;
            if rewrite::holds_any(storage, segment, &erasure.targets)? > 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a rewritten segment still contains the payloads",
                ));
            }
        }
        rewrite::remove_other_form(storage, segment)?;
        let events = rewrite::named_in(&erasure.targets, segment, segments);
        erasure.files.segments.push(ErasedSegment { file: segment.name(), events, rewritten });
        self.current = Some(erasure);
        Ok(Step::Done(rewritten.then_some(segment)))
    }

    /// The segments of the last erasure. An error if an erasure is still in progress.
    pub(super) fn taken_out(&self) -> io::Result<Vec<ErasedSegment>> {
        match (marks(&*self.handles.context.storage)?.is_empty(), self.handles.erasures.newest()) {
            (true, Some(files)) => Ok(files.segments.clone()),
            _ => Err(io::Error::other("payloads are still in a file")),
        }
    }

    fn unmark(&self, after: u64) -> io::Result<()> {
        let storage = &*self.handles.context.storage;
        // A rename by a failed attempt must be durable before the marker is removed.
        storage.sync_directory(DIRECTORY)?;
        storage.reached(FailPoint::ErasureDone)?;
        ignore_missing(storage.remove(&mark_path(after)))?;
        storage.sync_directory(DIRECTORY)
    }
}
