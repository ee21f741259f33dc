//! Rewrites segments without erased payloads.
//!
//! The event that records the erasure is durable before the first payload is removed. Each segment file is replaced
//! atomically: a crash leaves the old or the new file, and repeating the rewrite completes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use engine_core::forgetting::Target;
use engine_core::format::{EventLine, forget};
use engine_core::recovery::{SegmentAudit, survey};

use super::contents::{self, Contents};
use super::frame_file::{Frames, compress};
use super::segment::{DIRECTORY, Form, Segment, UNFINISHED};
use crate::storage::{Access, FailPoint, FilePermissions, RangeReader, Storage, StoredFile, ignore_missing};

/// Bytes per write.
const COPY_BYTES: usize = 1 << 20;

/// Events whose payloads are erased. Maps the event's number to its id and to the id of the event that records the
/// erasure.
pub(super) type Targets = BTreeMap<u64, (String, Arc<str>)>;

/// Finds which of these events are in a segment, whether they have a payload, and their kind.
pub(super) fn locate(
    storage: &dyn Storage,
    segment: Segment,
    ids: &BTreeSet<String>,
) -> io::Result<Vec<(Target, String)>> {
    let (mut lines, mut line, mut found) = (contents::whole(storage, segment, None)?, Vec::new(), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        if let Ok(event) = EventLine::decode(line.strip_suffix(b"\n").unwrap_or(&line))
            && ids.contains(event.envelope.id.as_ref())
        {
            let target = Target { id: event.envelope.id.into_owned(), seq: event.envelope.seq };
            found.push((target, event.envelope.kind.into_owned()));
        }
        line.clear();
    }
    Ok(found)
}

/// Number of events in `targets` that still have a payload in the file of `segment`.
pub(super) fn holds_any(storage: &dyn Storage, segment: Segment, targets: &Targets) -> io::Result<usize> {
    let (mut lines, mut line, mut found) = (contents::whole(storage, segment, None)?, Vec::new(), 0);
    while lines.read_until(b'\n', &mut line)? > 0 {
        let stored = line.strip_suffix(b"\n").unwrap_or(&line);
        if named(stored, targets).is_some_and(|(event, _)| event.payload().is_some()) {
            found += 1;
        }
        line.clear();
    }
    Ok(found)
}

/// Number of events in `targets` that belong to `segment`. `segments` are all segments of the log.
pub(super) fn named_in(targets: &Targets, segment: Segment, segments: &[Segment]) -> usize {
    let after = segments.partition_point(|other| other.first_seq <= segment.first_seq);
    let end = segments.get(after).map_or(u64::MAX, |next| next.first_seq);
    targets.range(segment.first_seq..end).count()
}

/// If the line is an event in `targets`, returns the parsed event and the id of the event that erases it. Other lines
/// are not parsed.
fn named<'a, 'b>(line: &'a [u8], targets: &'b Targets) -> Option<(EventLine<'a>, &'b str)> {
    let (id, by) = targets.get(&contents::seq_of(line)?)?;
    let event = EventLine::decode(line).ok()?;
    (event.envelope.id == id.as_str()).then_some((event, &**by))
}

/// Replaces a segment with a copy that does not contain the payloads of the events in `targets`.
pub(super) fn rewrite(storage: &dyn Storage, segment: Segment, targets: &Targets) -> io::Result<()> {
    let unfinished = segment.path() + UNFINISHED;
    ignore_missing(storage.remove(&unfinished))?;
    let file = storage.create(&unfinished, FilePermissions::Group)?;
    let lines = contents::whole(storage, segment, None)?;
    let forgetting = Forgetting { lines, ready: io::Cursor::new(Vec::new()), targets: targets.clone() };
    let forgetting: Box<dyn Read + Send> = Box::new(forgetting);
    match segment.form {
        Form::Compressed => {
            compress(BufReader::with_capacity(1 << 18, forgetting), segment.first_seq, &*file)?;
        }
        Form::Raw => copy(forgetting, &*file)?,
    }
    file.sync()?;
    storage.reached(FailPoint::RewriteWritten)?;
    check(storage, segment, &unfinished)?;
    storage.rename(&unfinished, &segment.path())?;
    storage.sync_directory(DIRECTORY)?;
    storage.reached(FailPoint::RewriteNamed)
}

/// Removes the other form of a segment. An interrupted compression leaves both forms, and both contain the payloads.
pub(super) fn remove_other_form(storage: &dyn Storage, segment: Segment) -> io::Result<()> {
    let other = match segment.form {
        Form::Raw => Segment::compressed(segment.first_seq),
        Form::Compressed => Segment::raw(segment.first_seq),
    };
    ignore_missing(storage.remove(&other.path()))
}

fn copy(mut from: impl Read, to: &dyn StoredFile) -> io::Result<()> {
    let (mut piece, mut offset) = (Vec::with_capacity(COPY_BYTES), 0);
    loop {
        piece.clear();
        if from.by_ref().take(COPY_BYTES as u64).read_to_end(&mut piece)? == 0 {
            return Ok(());
        }
        to.write_at(&piece, offset)?;
        offset += piece.len() as u64;
    }
}

/// Reads the new segment back and verifies that it has the same events in the same chain.
fn check(storage: &dyn Storage, segment: Segment, unfinished: &str) -> io::Result<()> {
    let file = storage.open(unfinished, Access::Read)?;
    let new: Box<dyn Read + Send> = match segment.form {
        Form::Raw => Box::new(RangeReader::new(file, 0, u64::MAX)),
        Form::Compressed => Box::new(Frames::open(file)?.reading(0)),
    };
    let new = survey(BufReader::with_capacity(1 << 18, new), |_| {})?;
    let old = survey(contents::whole(storage, segment, None)?, |_| {})?;
    let chain = |survey: &SegmentAudit| {
        let SegmentAudit { header, seal, head, events, breaches, torn, leaves, .. } = survey.clone();
        (header, seal, head, events, breaches.count, torn.is_some_and(|torn| torn.bytes > 0), leaves)
    };
    match chain(&new) == chain(&old) && new.breaches.count == 0 {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "the rewritten segment does not verify")),
    }
}

/// The lines of a segment, with the target payloads removed.
struct Forgetting {
    lines: Contents,
    ready: io::Cursor<Vec<u8>>,
    targets: Targets,
}

impl Forgetting {
    /// Reads the next line. Empty at the end.
    fn next_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.lines.read_until(b'\n', &mut line)?;
        let Some(stored) = line.strip_suffix(b"\n") else { return Ok(line) };
        let Some((_, by)) = named(stored, &self.targets) else { return Ok(line) };
        let mut forgotten =
            forget(stored, by).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        forgotten.push(b'\n');
        Ok(forgotten)
    }
}

impl Read for Forgetting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.ready.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        self.ready = io::Cursor::new(self.next_line()?);
        self.ready.read(buffer)
    }
}
