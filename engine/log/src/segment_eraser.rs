//! Forgetting payloads, the keeper's part: takes out of the files what the log says is forgotten.
//!
//! Files with torn bytes go first, as nobody can say what they hold; then each sealed segment is written anew; the
//! mark goes last. A crash anywhere leaves the mark, and all of it is done again.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::event::{ForgottenPayload, MEMORY_FORGOTTEN};
use engine_core::format::EventLine;
use engine_core::limits::BATCH_EVENTS_MAX;

use super::erasure_mark::{mark_path, marks};
use super::erasures::{ErasedFiles, ErasedSegment};
use super::handles::LogHandles;
use super::published::Head;
use super::reader::LogReader;
use super::rewrite::{self, Targets};
use super::segment::{DIRECTORY, Segment};
use super::torn;
use crate::storage::{FailPoint, Storage, ignore_missing};

/// After a failure the same is not tried at once: a full volume stays full for a while.
const PATIENCE: Duration = Duration::from_secs(5);

/// A forgetting that the log speaks of.
#[derive(Debug)]
struct Erasure {
    after: u64,
    targets: Targets,
    /// Segments not looked at yet, by their first event, the last one first.
    left: Vec<u64>,
    files: ErasedFiles,
}

/// What one step did.
#[derive(Debug)]
pub(super) enum Step {
    /// There is nothing to do now.
    Nothing,
    /// Something; perhaps this segment has another file now.
    Done(Option<Segment>),
}

/// Takes payloads out of files, a segment at a time.
#[derive(Debug)]
pub(super) struct Eraser {
    handles: LogHandles,
    /// How often was asked when marks were looked for last.
    looked_at: Option<u64>,
    current: Option<Erasure>,
    try_after: Option<Instant>,
    pub(super) patience: Duration,
}

impl Eraser {
    pub(super) fn new(handles: LogHandles) -> Eraser {
        Eraser { handles, looked_at: None, current: None, try_after: None, patience: PATIENCE }
    }

    /// Whether there is something to do that is not waited with.
    pub(super) fn is_due(&self) -> bool {
        let waiting = self.try_after.is_some_and(|after| Instant::now() < after);
        let asked = self.looked_at != Some(self.handles.erasures.asked());
        !waiting && (asked || self.current.is_some()) && self.handles.context.published.fault().is_none()
    }

    /// Does one bounded piece of work. What fails is tried again later.
    pub(super) fn step(&mut self) -> Step {
        // In this order: whoever asks has begun a new segment before.
        let asked = self.handles.erasures.asked();
        let Some((head, segments)) = self.handles.context.published.extent() else { return Step::Nothing };
        let stepped = match self.current.take() {
            Some(erasure) => self.go_on(erasure, &segments),
            None => self.find(asked, &head, &segments),
        };
        stepped.unwrap_or_else(|fault| {
            tracing::error!(%fault, "payloads that are forgotten are still in a file: it is tried again");
            self.handles.context.metrics.storage_failures.with_label_values(&["erase"]).inc();
            self.try_after = Some(Instant::now() + self.patience);
            self.looked_at = None;
            Step::Nothing
        })
    }

    /// Looks for a mark whose events are durable.
    fn find(&mut self, asked: u64, head: &Head, segments: &[Segment]) -> io::Result<Step> {
        let sealed_through = segments.last().map_or(0, |last| last.first_seq.saturating_sub(1));
        for after in marks(&*self.handles.context.storage)?.into_iter().filter(|after| *after < head.seq) {
            let targets = self.targets(after)?;
            if targets.is_empty() {
                // Its event never became durable: another stands in its place.
                self.unmark(after)?;
                continue;
            }
            if targets.keys().next_back().is_some_and(|seq| *seq > sealed_through) {
                // The writer begins a new segment first, and asks then.
                continue;
            }
            let holds = |place: &usize| {
                let end = segments.get(place + 1).map_or(u64::MAX, |next| next.first_seq);
                targets.range(segments[*place].first_seq..end).next().is_some()
            };
            let left =
                (0..segments.len()).rev().filter(holds).map(|place| segments[place].first_seq).collect();
            let torn = torn::remove_all(&*self.handles.context.storage)?;
            let files = ErasedFiles { segments: Vec::new(), torn };
            self.current = Some(Erasure { after, targets, left, files });
            return Ok(Step::Done(None));
        }
        self.looked_at = Some(asked);
        Ok(Step::Nothing)
    }

    /// What the events behind this one say; nothing when they say nothing of the kind.
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

    fn go_on(&mut self, mut erasure: Erasure, segments: &[Segment]) -> io::Result<Step> {
        let storage = &*self.handles.context.storage;
        let Some(first_seq) = erasure.left.pop() else {
            self.unmark(erasure.after)?;
            let Erasure { after, files, targets, .. } = erasure;
            tracing::info!(
                events = targets.len(),
                segments = files.segments.len(),
                "payloads were taken out of the log"
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
                    "a segment written anew needs more space",
                ));
            }
            rewrite::rewrite(storage, segment, &erasure.targets)?;
            if rewrite::holds_any(storage, segment, &erasure.targets)? > 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a segment written anew has the payloads still",
                ));
            }
        }
        rewrite::remove_other_form(storage, segment)?;
        let events = rewrite::named_in(&erasure.targets, segment, segments);
        erasure.files.segments.push(ErasedSegment { file: segment.name(), events, rewritten });
        self.current = Some(erasure);
        Ok(Step::Done(rewritten.then_some(segment)))
    }

    /// What the last one came to, if nothing is left to do.
    pub(super) fn taken_out(&self) -> io::Result<Vec<ErasedSegment>> {
        match (marks(&*self.handles.context.storage)?.is_empty(), self.handles.erasures.newest()) {
            (true, Some(files)) => Ok(files.segments.clone()),
            _ => Err(io::Error::other("payloads are still in a file")),
        }
    }

    fn unmark(&self, after: u64) -> io::Result<()> {
        let storage = &*self.handles.context.storage;
        // A name that was changed by an attempt that failed must not be lost once the mark is.
        storage.sync_directory(DIRECTORY)?;
        storage.reached(FailPoint::ErasureDone)?;
        ignore_missing(storage.remove(&mark_path(after)))?;
        storage.sync_directory(DIRECTORY)
    }
}
