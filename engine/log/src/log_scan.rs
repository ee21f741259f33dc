//! Reads the segments of a log in order, extends the tree and makes the end of the log writable.

use std::io;

use engine_core::digest::{Hash, hex};
use engine_core::format::{EventLine, FORMAT, Header, LineFault};
use engine_core::recovery::{
    Breach, Fault, Follows, Found, Scan, ScanStart, SegmentEnd, Verdict, check_root, scan_segment,
};
use engine_core::wire::{IntegrityFault, IntegrityFaultKind};
use jiff::Timestamp;

use super::active_segment::Active;
use super::contents;
use super::context::LogContext;
use super::local_checkpoint::Resume;
use super::open_outcome::{DamagedLog, OpenFailure, Opened, Readable};
use super::published::Head;
use super::segment::Segment;
use super::torn_bytes;
use super::tree::Stored;
use crate::storage::Access;

/// A log that was read to its end. It is valid, except that its last write may be incomplete.
pub(super) struct LogScan {
    segments: Vec<Segment>,
    /// What precedes the header of the last segment: the end of the previous segment, or the start of the log.
    follows: Follows,
    /// The last segment.
    last: Option<Scan>,
    /// Whether the complete log was read.
    from_start: bool,
}

impl LogScan {
    /// Reads the complete log, or the part after a checkpoint.
    pub(super) fn through(
        context: &LogContext,
        segments: &[Segment],
        resume: Option<Resume>,
    ) -> Result<LogScan, OpenFailure> {
        let from_start = resume.is_none();
        let (stored, first, mut follows, mut begin) = match resume {
            Some(resume) => (resume.stored, resume.place, resume.follows, Some(resume.begin)),
            None => (Stored::empty(&*context.storage)?, 0, Follows::Start, None),
        };
        context.tree.resume(stored)?;
        let (mut walk_follows, mut last) = (follows.clone(), None);
        for place in first..segments.len() {
            let begin = begin.take().unwrap_or_else(|| ScanStart::AtHeader(follows.clone()));
            let scan = scan_one(context, segments, place, begin, &follows)?;
            walk_follows =
                std::mem::replace(&mut follows, scan.end().map_or(Follows::Unknown, Follows::Segment));
            last = Some(scan);
        }
        Ok(LogScan { segments: segments.to_vec(), follows: walk_follows, last, from_start })
    }

    /// Whether there is no log yet: no segment, or a first one without a complete header.
    pub(super) fn is_empty(&self) -> bool {
        let has_header = self.last.as_ref().is_some_and(|scan| scan.header.is_some());
        !has_header && self.follows == Follows::Start
    }

    /// Cuts torn bytes, then opens or creates the segment for the next event.
    pub(super) fn finish(self, context: &LogContext, epoch: u64) -> Result<Opened, OpenFailure> {
        let storage = &*context.storage;
        let LogScan { mut segments, follows, last, from_start } = self;
        let (mut torn_bytes, now) = (0, context.clock.now());
        if let (Some(segment), Some(scan)) = (segments.last(), &last)
            && scan.seal.is_none()
        {
            torn_bytes = torn_bytes::cut(storage, *segment, scan.valid_len)?;
        }
        let sealed = last.as_ref().and_then(Scan::end);
        let (active, epoch) = match last {
            Some(Scan { header: Some((header, _)), seal: None, head: Some(link), valid_len, .. }) => {
                let epoch = takeover(epoch, header.epoch);
                (Active::resume(storage, header, valid_len, link)?, epoch)
            }
            _ => {
                if let (Some(_), Some(segment)) = (&sealed, segments.last()) {
                    // A killed process can leave a complete seal that was never synced. The next header refers to the
                    // seal, so the seal must be durable first.
                    storage.open(&segment.path(), Access::Write)?.sync()?;
                }
                let header = match (sealed, follows) {
                    (Some(end), _) | (None, Follows::Segment(end)) => {
                        header_after(&end, takeover(epoch, end.epoch), now)
                    }
                    (None, _) => Header::first(hex(&context.clock.bytes::<16>()), now),
                };
                let segment = Segment::raw(header.prev_seq + 1);
                if segments.last() != Some(&segment) {
                    segments.push(segment);
                }
                let epoch = header.epoch;
                (Active::create(storage, header)?, epoch)
            }
        };
        let seq = active.link.seq;
        Ok(Opened {
            epoch,
            head_hash: event_hash(context, &segments, seq, active.len)?.unwrap_or(active.link.hash),
            segments,
            torn_bytes,
            verified_through: if from_start { seq } else { 0 },
            active,
        })
    }
}

/// A copy that was read to its end.
pub(super) struct OpenedCopy {
    pub(super) active: Active,
    pub(super) header_hash: Hash,
    /// Hash of the last event, or of the header if there is none.
    pub(super) head_hash: Hash,
    pub(super) segments: Vec<Segment>,
    pub(super) torn_bytes: u64,
    /// Number of the last verified event; 0 unless the complete copy was read.
    pub(super) verified_through: u64,
}

impl LogScan {
    /// Cuts torn bytes of a copy, and opens its last segment. Writes no line: those of a copy come from elsewhere.
    /// `None` if the copy is empty. A last seal without a header after it was cut off before.
    pub(super) fn finish_copy(self, context: &LogContext) -> Result<Option<OpenedCopy>, OpenFailure> {
        let LogScan { segments, last, from_start, .. } = self;
        let (Some(segment), Some(scan)) = (segments.last().copied(), last) else { return Ok(None) };
        let torn_bytes = torn_bytes::cut(&*context.storage, segment, scan.valid_len)?;
        let (Some((header, header_hash)), Some(link)) = (scan.header, scan.head) else {
            return Err(io::Error::other("the last segment has no header").into());
        };
        let active = Active::resume(&*context.storage, header, scan.valid_len, link)?;
        let seq = active.link.seq;
        let head_hash = event_hash(context, &segments, seq, active.len)?.unwrap_or(active.link.hash);
        let verified_through = if from_start { seq } else { 0 };
        Ok(Some(OpenedCopy { active, header_hash, head_hash, segments, torn_bytes, verified_through }))
    }
}

/// Returns the epoch of this process: `epoch` if the process already has one (it is not 0), otherwise `found` + 1,
/// where `found` is the epoch of the last header. The process writes its epoch into every segment header, so a new
/// epoch first appears at the start of a segment. The epoch distinguishes two writers of one log: when a volume is
/// attached twice or copied, both continue from the same end, each with its own header. The log with the larger epoch
/// is the successor. A log in which the epoch decreases does not verify.
fn takeover(epoch: u64, found: u64) -> u64 {
    if epoch > 0 { epoch } else { found + 1 }
}

/// Header of the segment that follows the segment end `end`.
pub(super) fn header_after(end: &SegmentEnd, epoch: u64, now: Timestamp) -> Header {
    let SegmentEnd { log_id, segment, seq, hash, .. } = end.clone();
    Header {
        format: FORMAT.into(),
        log_id,
        segment: segment + 1,
        epoch,
        prev_seq: seq,
        prev: hash,
        created: now,
    }
}

/// Reads one segment and adds its events to the tree.
fn scan_one(
    context: &LogContext,
    segments: &[Segment],
    place: usize,
    begin: ScanStart,
    follows: &Follows,
) -> Result<Scan, OpenFailure> {
    let (segment, last) = (segments[place], place + 1 == segments.len());
    let damaged = |breach: &Breach, scan: Option<&Scan>| {
        let readable = readable(context, segments, place, scan)?;
        Err(OpenFailure::Corrupt(Box::new(DamagedLog { fault: corrupt(segment, breach), readable })))
    };
    if follows.first_seq().is_some_and(|expected| expected != segment.first_seq) {
        let seq = follows.first_seq().unwrap_or_default();
        return damaged(&Breach { line: 1, byte: 0, seq, reason: Fault::Header("prev_seq") }, None);
    }
    let offset = match &begin {
        ScanStart::AtHeader(_) => 0,
        ScanStart::Inside { offset, .. } => *offset,
    };
    let mut batch = Vec::new();
    let visit = |found: &Found<'_>| {
        batch.push(found.event.hash);
        if found.event.envelope.ends_batch() {
            context.tree.extend(batch.drain(..));
        }
    };
    let contents = contents::from_offset(&*context.storage, segment, offset, None);
    let mut scan = match contents.and_then(|contents| scan_segment(contents, begin, last, visit)) {
        Err(fault) => return damaged(&unreadable(fault)?, None),
        Ok(scan) => scan,
    };
    if let (Verdict::Clean, Some((seal, _))) = (&scan.verdict, &scan.seal)
        && let Err(reason) = check_root(seal, &context.tree.head().1)
    {
        let lines = scan.events + 2;
        scan.verdict = Verdict::Corrupt(Breach { line: lines, byte: scan.valid_len, seq: 0, reason });
    }
    match &scan.verdict {
        Verdict::Corrupt(breach) => damaged(breach, Some(&scan)),
        _ => Ok(scan),
    }
}

/// The readable part of a log that is damaged in segment number `place`: everything before the damage. `None` if
/// nothing is readable.
fn readable(
    context: &LogContext,
    segments: &[Segment],
    place: usize,
    scan: Option<&Scan>,
) -> io::Result<Option<Readable>> {
    let (log_id, seq, line) = match scan.and_then(|scan| Some((scan.header.as_ref()?, scan.head?))) {
        Some(((header, _), head)) => (header.log_id.clone(), head.seq, head.hash),
        // Nothing in this segment is readable. Only the segments before it are.
        None => match place.checked_sub(1) {
            Some(_) => (String::new(), segments[place].first_seq.saturating_sub(1), Hash::ZERO),
            None => return Ok(None),
        },
    };
    let len = scan.map_or(0, |scan| scan.valid_len);
    let segments = segments[..=place].to_vec();
    let hash = event_hash(context, &segments, seq, len)?.unwrap_or(line);
    Ok(Some(Readable { head: Head { log_id, seq, hash, line, len }, segments }))
}

/// The integrity fault reported to the operator for a breach.
pub(super) fn corrupt(segment: Segment, breach: &Breach) -> IntegrityFault {
    let (name, label) = (segment.name(), breach.reason.label());
    let message = format!(
        "{name} does not verify at {breach} ({label}); run `memory-engine log verify` to see all of it, and restore the log \
         from a backup that verifies"
    );
    IntegrityFault {
        kind: IntegrityFaultKind::Corrupt,
        message,
        seq: if breach.seq > 0 { breach.seq } else { segment.first_seq },
        segment: Some(name),
        line: Some(breach.line),
        byte: Some(breach.byte),
    }
}

/// Distinguishes damage from volume failures. Invalid frames or an invalid index of a compressed segment are returned
/// as a breach; other errors are returned as errors.
pub(super) fn unreadable(fault: io::Error) -> io::Result<Breach> {
    match fault.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            let reason = Fault::Line(LineFault::Frame("a compressed segment"));
            Ok(Breach { line: 1, byte: 0, seq: 0, reason })
        }
        _ => Err(fault),
    }
}

/// Hash of event `seq`. `None` if the event does not exist. `last_len` is the valid length of the last segment in
/// bytes.
fn event_hash(
    context: &LogContext,
    segments: &[Segment],
    seq: u64,
    last_len: u64,
) -> io::Result<Option<Hash>> {
    let after = segments.partition_point(|segment| segment.first_seq <= seq);
    let Some(place) = after.checked_sub(1) else { return Ok(None) };
    let end = (after == segments.len()).then_some(last_len);
    let mut lines = contents::lines_from(&*context.storage, segments[place], seq, end)?;
    let mut line = Vec::new();
    io::BufRead::read_until(&mut lines, b'\n', &mut line)?;
    Ok(EventLine::decode(line.strip_suffix(b"\n").unwrap_or(&line)).ok().map(|event| event.hash))
}

/// The number of the first event that the next segment must have, if it is known.
trait FirstSeq {
    fn first_seq(&self) -> Option<u64>;
}

impl FirstSeq for Follows {
    fn first_seq(&self) -> Option<u64> {
        match self {
            Follows::Start => Some(1),
            Follows::Segment(end) => Some(end.seq + 1),
            Follows::Unknown => None,
        }
    }
}
