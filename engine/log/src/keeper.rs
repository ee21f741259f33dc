//! The background thread of the log. It reads the log back, detects within seconds that another process changed a file,
//! compresses sealed segments, erases payloads and writes the checkpoint used by the next start.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use engine_core::format::Header;
use engine_core::recovery::{Fault, Link, ScanStart, SegmentAudit, join, scan_segment};
use engine_core::wire::{IntegrityFault, IntegrityFaultKind};

use super::audit::{Task, audit};
use super::contents;
use super::erasures::ErasedSegment;
use super::handles::LogHandles;
use super::log_scan::corrupt;
use super::published::Head;
use super::scrubs::Scrubbed;
use super::segment::{Form, Segment};
use super::segment_compression;
use super::segment_eraser::{Eraser, Step};
use crate::storage::Status;

/// Interval between file checks and between reads of newly appended lines.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Log growth in bytes after which a new checkpoint is written. It limits what the next start has to read.
const CHECKPOINT_BYTES: u64 = 16 << 20;
/// Maximum age of the checkpoint while the log grows.
const CHECKPOINT_AGE: Duration = Duration::from_secs(30);
/// Delay before a failed operation is retried.
const RETRY_DELAY: Duration = Duration::from_secs(60);
/// Segments read back per step, between two file checks.
const AUDIT_AT_ONCE: usize = 2;

/// Runs the background work. See [`Keeper::run`].
#[derive(Debug)]
pub struct Keeper {
    handles: LogHandles,
    verify_interval: Option<Duration>,
    /// Sealed segments that were read back, by first event number.
    known: BTreeMap<u64, Known>,
    tail: Option<Tail>,
    last_check: Option<Instant>,
    /// Start of the current full verification.
    began: Option<Instant>,
    complete: bool,
    /// Request for which the current full verification began; 0 before the first one.
    round: u64,
    written: Option<Written>,
    compress_after: Option<Instant>,
    eraser: Eraser,
    check_interval: Duration,
}

#[derive(Debug)]
struct Known {
    status: Status,
    survey: SegmentAudit,
}

/// How far the active segment was read back.
#[derive(Debug, Clone)]
struct Tail {
    first_seq: u64,
    status: Status,
    /// Event number and length of the head at the last check.
    seen: (u64, u64),
    header: Option<(Header, engine_core::digest::Hash)>,
    link: Option<Link>,
    offset: u64,
}

/// The last checkpoint written.
#[derive(Debug, Clone, Copy)]
struct Written {
    at: Instant,
    first_seq: u64,
    len: u64,
    seq: u64,
}

type Extent = (Head, Arc<[Segment]>);

impl Keeper {
    /// Creates the keeper. `verify_interval` is the time between full verifications, if they repeat.
    pub fn new(handles: LogHandles, verify_interval: Option<Duration>) -> Keeper {
        Keeper {
            eraser: Eraser::new(handles.clone()),
            handles,
            verify_interval,
            known: BTreeMap::new(),
            tail: None,
            last_check: None,
            began: None,
            complete: false,
            round: 0,
            written: None,
            compress_after: None,
            check_interval: CHECK_INTERVAL,
        }
    }

    /// Makes the keeper check files at every step, without waiting for the interval.
    #[cfg(test)]
    pub(super) fn checking_always(self) -> Keeper {
        let mut keeper = Keeper { check_interval: Duration::ZERO, ..self };
        keeper.eraser.patience = Duration::ZERO;
        keeper
    }

    /// Runs the background work until the channel `stop` closes, then writes a last checkpoint. A message on the
    /// channel wakes the thread immediately.
    pub fn run(mut self, stop: &Receiver<()>) {
        loop {
            let wait = if self.step() { Duration::ZERO } else { CHECK_INTERVAL };
            if matches!(stop.recv_timeout(wait), Err(RecvTimeoutError::Disconnected)) {
                break;
            }
        }
        self.write_checkpoint();
    }

    /// Does one bounded unit of work. Returns true when more work is due immediately.
    pub(super) fn step(&mut self) -> bool {
        let Some(extent) = self.handles.context.published.extent() else { return false };
        if self.last_check.is_none_or(|at| at.elapsed() >= self.check_interval) {
            self.check_files(&extent);
            self.read_tail(&extent);
            self.last_check = Some(Instant::now());
        }
        self.checkpoint_if_due(&extent);
        if self.eraser.is_due() && self.erase_some() {
            return true;
        }
        self.audit_some(&extent) || self.compress_one(&extent)
    }

    /// Erases payloads from one segment. Returns false when there is nothing to erase.
    fn erase_some(&mut self) -> bool {
        let Step::Done(rewritten) = self.eraser.step() else { return false };
        if let Some(segment) = rewritten {
            // The file was replaced, so it has to be read back like a new file.
            self.known.remove(&segment.first_seq);
            self.complete = false;
        }
        true
    }

    /// Erases the payloads of all requested erasures. Returns the segments that contained target events.
    pub(super) fn erase_all(&mut self) -> io::Result<Vec<ErasedSegment>> {
        self.eraser.patience = Duration::ZERO;
        while self.erase_some() {}
        self.eraser.taken_out()
    }

    /// Checks the metadata of every file without reading it.
    fn check_files(&mut self, (head, segments): &Extent) {
        let Some((last, sealed)) = segments.split_last() else { return };
        for segment in sealed {
            match self.handles.context.storage.status(&segment.path()) {
                Ok(status)
                    if self.known.get(&segment.first_seq).is_some_and(|known| known.status != status) =>
                {
                    tracing::warn!(
                        segment = segment.name(),
                        "a sealed segment was modified: it is read again"
                    );
                    self.known.remove(&segment.first_seq);
                    self.complete = false;
                }
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                    self.missing(*segment, IntegrityFaultKind::Corrupt, "is gone", segment.first_seq);
                }
                _ => {}
            }
        }
        self.check_last_segment(*last, head);
    }

    fn check_last_segment(&mut self, last: Segment, head: &Head) {
        let status = match self.handles.context.storage.status(&last.path()) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                return self.missing(last, IntegrityFaultKind::Truncated, "is gone", last.first_seq);
            }
            Err(_) => return,
            Ok(status) => status,
        };
        if status.len < head.len {
            self.missing(last, IntegrityFaultKind::Truncated, "is shorter than it was", last.first_seq);
        }
        let seen = (head.seq, head.len);
        match &mut self.tail {
            Some(tail) if tail.first_seq == last.first_seq => {
                if tail.status.inode != status.inode {
                    self.missing(
                        last,
                        IntegrityFaultKind::Corrupt,
                        "was replaced by another file",
                        head.seq + 1,
                    );
                } else if tail.seen == seen && tail.status != status {
                    // Another process wrote to the file, or the writer has not yet published its own write. Reading the
                    // file again from the start shows which of the two happened.
                    *tail = Tail { header: None, link: None, offset: 0, ..tail.clone() };
                }
                if let Some(tail) = &mut self.tail {
                    (tail.status, tail.seen) = (status, seen);
                }
            }
            _ => {
                let first_seq = last.first_seq;
                self.tail = Some(Tail { first_seq, status, seen, header: None, link: None, offset: 0 });
            }
        }
    }

    /// Reports that a file is missing or changed. Events before `seq` remain readable.
    fn missing(&self, segment: Segment, kind: IntegrityFaultKind, what: &str, seq: u64) {
        let name = segment.name();
        let message = format!(
            "{name} {what}, while the engine was running: restore the log from a backup that verifies"
        );
        let fault = IntegrityFault { kind, message, seq, segment: Some(name), line: None, byte: None };
        self.found(fault);
    }

    fn found(&self, fault: IntegrityFault) {
        if self.handles.context.published.fault().as_ref() != Some(&fault) {
            tracing::error!(?fault, "the log failed verification: writes are disabled");
            self.handles.context.metrics.integrity_faults.inc();
        }
        self.handles.context.published.set_corrupt(fault);
    }

    /// Reads the lines appended since the last call.
    fn read_tail(&mut self, (head, segments): &Extent) {
        let Some(last) = segments.last() else { return };
        let Some(tail) = self.tail.clone().filter(|tail| tail.first_seq == last.first_seq) else { return };
        if tail.offset >= head.len {
            return;
        }
        let begin = match (tail.header, tail.link) {
            (Some((header, header_hash)), Some(link)) => {
                ScanStart::Inside { header, header_hash, link, offset: tail.offset }
            }
            _ => ScanStart::AtHeader(engine_core::recovery::Follows::Unknown),
        };
        let contents =
            contents::from_offset(&*self.handles.context.storage, *last, tail.offset, Some(head.len));
        let scan = match contents.and_then(|contents| scan_segment(contents, begin, true, |_| {})) {
            Ok(scan) => scan,
            Err(fault) => return tracing::warn!(%fault, "the end of the log could not be read back"),
        };
        let whole = scan.valid_len == head.len
            && scan.head.is_some_and(|link| link.seq == head.seq && link.hash == head.line);
        if !whole {
            let seq = scan.head.map_or(last.first_seq, |link| link.seq + 1).min(head.seq);
            if let engine_core::recovery::Verdict::Corrupt(breach) = &scan.verdict {
                return self.found(corrupt(*last, breach));
            }
            let kind = IntegrityFaultKind::Corrupt;
            return self.missing(*last, kind, "does not end with the line that was written last", seq);
        }
        if let Some(tail) = &mut self.tail {
            (tail.header, tail.link, tail.offset) = (scan.header, scan.head, head.len);
        }
        self.publish_verified(&(head.clone(), Arc::clone(segments)));
    }

    /// Publishes the head as verified once all sealed segments and the tail are verified.
    fn publish_verified(&self, (head, segments): &Extent) {
        let tail_read = self.tail.as_ref().is_some_and(|tail| tail.offset >= head.len);
        if self.complete && tail_read && self.known.len() + 1 >= segments.len() {
            self.handles.context.published.verified(head.seq, None);
        }
    }

    /// Reads segments that were never verified or whose verification is old. Returns true when more remain.
    fn audit_some(&mut self, extent: &Extent) -> bool {
        let Some(interval) = self.verify_interval else { return false };
        let asked = self.handles.scrubs.asked();
        let is_due = self.began.is_none_or(|began| self.complete && began.elapsed() >= interval);
        if is_due || asked != self.round {
            self.round = asked;
            self.began = Some(Instant::now());
            self.complete = false;
            self.known.clear();
        }
        let (head, segments) = extent;
        let Some((_, sealed)) = segments.split_last() else { return false };
        self.known.retain(|first_seq, _| sealed.iter().any(|segment| segment.first_seq == *first_seq));
        let unknown = sealed.iter().filter(|segment| !self.known.contains_key(&segment.first_seq));
        let todo: Vec<Segment> = unknown.take(AUDIT_AT_ONCE).copied().collect();
        if todo.is_empty() {
            if !self.complete && self.handles.context.published.is_explained() {
                self.conclude(head, segments);
            }
            return false;
        }
        self.audit_these(&todo);
        let known = sealed.iter().take_while(|segment| self.known.contains_key(&segment.first_seq)).count();
        self.judge(head, &segments[..known], None);
        todo.iter().all(|segment| self.known.contains_key(&segment.first_seq))
    }

    fn audit_these(&mut self, todo: &[Segment]) {
        let storage = &*self.handles.context.storage;
        // Read the file status first: changes during the read are then detected by the next check.
        let states: Vec<_> = todo.iter().map(|segment| storage.status(&segment.path())).collect();
        let tasks: Vec<Task> = todo.iter().map(|segment| Task { segment: *segment, end: None }).collect();
        let surveys = audit(storage, &tasks, &|_| {});
        for ((segment, status), survey) in todo.iter().zip(states).zip(surveys) {
            match (status, survey) {
                (Ok(status), Ok(survey)) => {
                    self.known.insert(segment.first_seq, Known { status, survey });
                }
                (Err(fault), _) | (_, Err(fault)) => {
                    tracing::warn!(segment = segment.name(), %fault, "a segment could not be read back");
                }
            }
        }
    }

    /// Reads the active segment too, and verifies all segments against each other.
    fn conclude(&mut self, head: &Head, segments: &[Segment]) {
        let Some(last) = segments.last() else { return };
        let task = Task { segment: *last, end: Some(head.len) };
        let Some(Ok(survey)) = audit(&*self.handles.context.storage, &[task], &|_| {}).pop() else { return };
        self.complete = true;
        let is_sound = self.judge(head, segments, Some(survey));
        if is_sound {
            self.handles.context.published.verified(head.seq, Some(self.handles.context.clock.now()));
        }
        let scrubbed = if is_sound { Scrubbed::Sound(head.seq) } else { Scrubbed::Faulty };
        self.handles.scrubs.end(self.round, scrubbed);
    }

    /// Whether the segments `segments` verify as one log. `last` contains the findings for the active segment, if it is
    /// included.
    fn judge(&self, head: &Head, segments: &[Segment], last: Option<SegmentAudit>) -> bool {
        let complete = last.is_some();
        let mut surveys: Vec<(u64, SegmentAudit)> = segments
            .iter()
            .filter_map(|segment| {
                Some((segment.first_seq, self.known.get(&segment.first_seq)?.survey.clone()))
            })
            .collect();
        surveys.extend(last.map(|survey| (segments.last().map_or(0, |segment| segment.first_seq), survey)));
        let joined = join(surveys);
        // The event that accounts for a missing payload may be in a segment that was not read yet.
        let counts = |fault: &Fault| complete || *fault != Fault::Erasure;
        if let Some((place, breach)) = joined.breaches.kept.iter().find(|(_, breach)| counts(&breach.reason))
        {
            self.found(corrupt(segments[*place], breach));
            return false;
        }
        let (Some(end), Some(tree)) = (joined.head, joined.tree) else { return false };
        if complete && (end.seq, end.hash) != (head.seq, head.line) {
            let what = "does not end with the line that was written last";
            self.missing(segments[segments.len() - 1], IntegrityFaultKind::Rewritten, what, 1);
            return false;
        }
        self.check_tree(&tree);
        self.handles.context.published.verified(end.seq, None);
        true
    }

    /// Compares the stored tree with `computed`, the tree of the verified lines. If they differ, the stored tree is
    /// discarded and rebuilt.
    fn check_tree(&self, computed: &engine_core::merkle::Frontier) {
        match self.handles.context.tree.root_at(computed.size()) {
            Ok(root) if root == computed.root() => {}
            _ => self.handles.context.tree.distrust(&*self.handles.context.storage),
        }
    }

    fn checkpoint_if_due(&mut self, (head, segments): &Extent) {
        let first_seq = segments.last().map_or(0, |segment| segment.first_seq);
        let due = match self.written {
            None => head.seq > 0,
            Some(written) => {
                first_seq != written.first_seq
                    || head.len.saturating_sub(written.len) >= CHECKPOINT_BYTES
                    || (head.seq != written.seq && written.at.elapsed() >= CHECKPOINT_AGE)
            }
        };
        if due {
            self.write_checkpoint();
        }
    }

    /// Writes a checkpoint of the current head, unless the log has an integrity fault.
    pub(super) fn write_checkpoint(&mut self) {
        let Some((head, segments)) = self.handles.context.published.extent() else { return };
        if self.handles.context.published.fault().is_some() {
            return;
        }
        let first_seq = segments.last().map_or(0, |segment| segment.first_seq);
        match self.handles.attestation.write_local(&self.handles.context) {
            Ok(Some(size)) => {
                self.handles.context.metrics.checkpoint_size.set(i64::try_from(size).unwrap_or(i64::MAX));
            }
            Ok(None) => {}
            Err(fault) => {
                tracing::error!(%fault, "the local checkpoint could not be written: the next start reads more");
                self.handles.context.metrics.storage_failures.with_label_values(&["checkpoint"]).inc();
            }
        }
        // Record the attempt even if it failed, so that the next attempt waits until a checkpoint is due again.
        self.written = Some(Written { at: Instant::now(), first_seq, len: head.len, seq: head.seq });
    }

    /// Compresses one sealed segment that was read back. Returns true if a segment was compressed.
    fn compress_one(&mut self, (_, segments): &Extent) -> bool {
        let waiting = self.compress_after.is_some_and(|after| Instant::now() < after);
        if waiting || self.handles.context.published.fault().is_some() {
            return false;
        }
        let is_due =
            |segment: &&Segment| segment.form == Form::Raw && self.known.contains_key(&segment.first_seq);
        let sealed = segments.split_last().map_or(&[][..], |(_, sealed)| sealed);
        let Some(segment) = sealed.iter().find(is_due).copied() else { return false };
        match self.compress(segment) {
            Ok(done) => done,
            Err(fault) => {
                tracing::error!(segment = segment.name(), %fault, "compressing a segment failed; it stays raw");
                self.handles.context.metrics.storage_failures.with_label_values(&["compress"]).inc();
                self.compress_after = Some(Instant::now() + RETRY_DELAY);
                false
            }
        }
    }

    fn compress(&mut self, segment: Segment) -> io::Result<bool> {
        let storage = &*self.handles.context.storage;
        let len = storage.status(&segment.path())?.len;
        if storage.space()?.available < storage.space()?.reserve() + len {
            return Ok(false);
        }
        segment_compression::compress_segment(storage, segment.first_seq)?;
        self.handles.context.published.compressed(segment.first_seq);
        let status = storage.status(&Segment::compressed(segment.first_seq).path())?;
        if let Some(known) = self.known.get_mut(&segment.first_seq) {
            known.status = status;
        }
        self.handles.context.metrics.segments_compressed.inc();
        segment_compression::remove_raw(storage, segment.first_seq)?;
        Ok(true)
    }
}
