//! `memory-engine log verify`: verifies a log. It prints JSON and sets the exit code, for people and for jobs.

use std::io;
use std::path::Path;

use engine_core::digest::Hash;
use engine_core::format::EventLine;
use engine_core::recovery::{Breach, Link, join};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use engine_log::storage::{DiskStorage, Storage};
use engine_log::{Segment, Task, audit, list, write_lines};

/// The report that `verify` prints. `ok` determines the exit code.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether everything that was acknowledged verifies, as far as the log alone can show.
    pub(crate) ok: bool,
    /// Number of complete events that verify.
    events: u64,
    log_id: Option<String>,
    /// Last event that verifies, and its hash; in a log without events, the hash of the header.
    head_seq: u64,
    head_hash: Option<String>,
    /// Root of the Merkle tree over all events; absent if the log does not verify.
    root: Option<String>,
    /// Number of files that were read.
    segments: usize,
    /// Number of events whose payload was forgotten. For each there is an event that records it.
    forgotten: usize,
    /// Bytes of an unfinished write at the end. This is not damage: the next start moves these bytes aside, and a
    /// running engine may be writing them now.
    torn_bytes: u64,
    first_broken_seq: Option<u64>,
    /// Stable label of the first breach.
    reason: Option<&'static str>,
    /// Description of the first breach, for people.
    detail: Option<String>,
    segment: Option<String>,
    /// Line in the segment; the first is 1.
    line: Option<u64>,
    /// Offset of the line in the uncompressed segment, bytes.
    byte: Option<u64>,
    /// Number of all breaches.
    breach_count: u64,
    /// The first thousand breaches.
    breaches: Vec<BreachReport>,
}

/// One place where the log does not verify.
#[derive(Debug, Serialize)]
struct BreachReport {
    segment: String,
    line: u64,
    byte: u64,
    /// Sequence number of the event that is expected at this place; 0 if unknown.
    seq: u64,
    reason: &'static str,
    detail: String,
}

impl BreachReport {
    fn new(segment: Segment, breach: &Breach) -> BreachReport {
        let Breach { line, byte, seq, reason } = breach;
        BreachReport {
            segment: segment.name(),
            line: *line,
            byte: *byte,
            seq: *seq,
            reason: reason.label(),
            detail: reason.to_string(),
        }
    }
}

/// Reads and verifies the whole log, two segments at a time. Changes nothing and takes no lock.
///
/// # Errors
/// There is no log, or the log cannot be read.
pub(crate) fn verify(data: &Path) -> io::Result<Report> {
    let storage = DiskStorage::new(data.to_owned());
    let segments = list(&storage)?.segments;
    if segments.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no log"));
    }
    let sizes = segments.iter().map(|segment| Ok(storage.status(&segment.path())?.len));
    let bar = progress_bar(sizes.sum::<io::Result<u64>>()?);
    let tasks: Vec<Task> = segments.iter().map(|segment| Task { segment: *segment, end: None }).collect();
    let surveys = audit(&storage, &tasks, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let surveys =
        surveys.into_iter().zip(&segments).map(|(survey, segment)| Ok((segment.first_seq, survey?)));
    let joined = join(surveys.collect::<io::Result<_>>()?);
    let breaches: Vec<BreachReport> = joined
        .breaches
        .kept
        .iter()
        .map(|(place, breach)| BreachReport::new(segments[*place], breach))
        .collect();
    let first = breaches.first();
    Ok(Report {
        ok: breaches.is_empty(),
        events: joined.events,
        log_id: joined.log_id,
        head_seq: joined.head.map_or(0, |head| head.seq),
        head_hash: joined
            .head
            .map(|head| head_hash(&storage, &head))
            .transpose()?
            .map(|hash| hash.to_string()),
        root: joined.tree.map(|tree| tree.root().to_string()),
        segments: segments.len(),
        forgotten: joined.forgotten,
        torn_bytes: joined.torn_bytes,
        first_broken_seq: first.map(|breach| breach.seq),
        reason: first.map(|breach| breach.reason),
        detail: first.map(|breach| breach.detail.clone()),
        segment: first.map(|breach| breach.segment.clone()),
        line: first.map(|breach| breach.line),
        byte: first.map(|breach| breach.byte),
        breach_count: joined.breaches.count,
        breaches,
    })
}

/// Returns the hash of the last event. The last line of the chain may be the header of a new segment, so the event
/// itself is read from the log.
fn head_hash(storage: &DiskStorage, head: &Link) -> io::Result<Hash> {
    let Some(before) = head.seq.checked_sub(1) else { return Ok(head.hash) };
    let mut line = Vec::new();
    write_lines(storage, before, 1, &mut line)?;
    let event = EventLine::decode(line.strip_suffix(b"\n").unwrap_or(&line));
    Ok(event.map_or(head.hash, |event| event.hash))
}

/// A progress bar, which is drawn only on a terminal.
fn progress_bar(bytes: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
            .expect("the template is a constant");
    ProgressBar::new(bytes).with_style(style)
}
