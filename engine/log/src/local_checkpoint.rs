//! The local checkpoint of a log: the position from which the next start reads the log.
//!
//! The checkpoint is written only after all events that it covers are durable, so it is never ahead of the log. A log
//! that is shorter than its own checkpoint has lost its last events.

use std::io::{self, BufRead, Read};

use engine_core::checkpoint::Checkpoint;
use engine_core::digest::Hash;
use engine_core::format::{EventLine, Header, Seal};
use engine_core::limits::LINE_BYTES_MAX;
use engine_core::note::NOTE_BYTES_MAX;
use engine_core::recovery::{Follows, Link, ScanStart, SegmentEnd};

use super::contents;
use super::frame_file::Frames;
use super::keyring::Keyring;
use super::segment::{DIRECTORY, Form, Segment};
use super::tree::Stored;
use crate::storage::{Access, FailPoint, FilePermissions, Storage, StoredFile, read_small, replace};

const NAME: &str = "checkpoint";
/// Path in the data directory.
pub(super) const PATH: &str = "log/checkpoint";
/// Maximum bytes of a header line that this engine writes.
const HEADER_BYTES_MAX: u64 = 4096;

/// Where reading resumes.
#[derive(Debug)]
pub(super) struct Resume {
    pub(super) stored: Stored,
    /// Index of the segment, counted from the first.
    pub(super) place: usize,
    /// Where in that segment reading begins.
    pub(super) begin: ScanStart,
    /// What precedes the header of that segment: the end of the previous segment, or the start of the log.
    pub(super) follows: Follows,
}

/// Reads the checkpoint. `None` if no checkpoint exists, or if no key in `keyring` signed it.
pub(super) fn read(storage: &dyn Storage, keyring: Option<&Keyring>) -> io::Result<Option<Checkpoint>> {
    let Some(keyring) = keyring else { return Ok(None) };
    let note = match read_small(storage, PATH, NOTE_BYTES_MAX as u64) {
        Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            return Ok(None);
        }
        note => note?,
    };
    match Checkpoint::open(&note, &keyring.verifiers()) {
        Ok((checkpoint, _)) => Ok(Some(checkpoint)),
        Err(fault) => {
            tracing::warn!(%fault, "the local checkpoint cannot be used: the complete log is read");
            Ok(None)
        }
    }
}

/// Replaces the stored checkpoint.
pub(super) fn write(storage: &dyn Storage, note: &str) -> io::Result<()> {
    replace(storage, DIRECTORY, NAME, FilePermissions::Group, note.as_bytes())?;
    storage.reached(FailPoint::CheckpointWritten)
}

/// Where to resume reading after the checkpoint `claim`. `None` if the checkpoint does not match the files.
pub(super) fn resume(storage: &dyn Storage, claim: &Checkpoint, segments: &[Segment]) -> Option<Resume> {
    match fit(storage, claim, segments) {
        Ok(resume) => Some(resume),
        Err(why) => {
            tracing::warn!(why = %why, size = claim.size, "the local checkpoint does not match: the complete log is read");
            None
        }
    }
}

fn fit(storage: &dyn Storage, claim: &Checkpoint, segments: &[Segment]) -> io::Result<Resume> {
    let unfit = |why: &'static str| io::Error::new(io::ErrorKind::InvalidData, why);
    let position = claim.position().ok_or(unfit("it names no position"))?;
    let place = segments.iter().position(|segment| *segment == Segment::raw(position.first_seq));
    let place = place.ok_or(unfit("its segment is not there"))?;
    let file = storage.open(&segments[place].path(), Access::Read)?;
    if file.size()? < position.offset {
        return Err(unfit("its segment is shorter"));
    }
    let line = line_before(&*file, position.offset)?;
    let link = end_of(&line).filter(|link| (link.seq, link.hash) == (claim.size, position.hash));
    let link = link.ok_or(unfit("another line ends there"))?;
    let stored = Stored::load(storage, claim.size)?;
    if stored.frontier.root() != claim.root {
        return Err(unfit("the stored tree has another root"));
    }
    let follows = joints(storage, &segments[..place])?;
    let (header, header_hash) = header_of(storage, segments[place])?;
    follows.check(&header).map_err(invalid)?;
    let begin = ScanStart::Inside { header, header_hash, link, offset: position.offset };
    Ok(Resume { stored, place, begin, follows })
}

/// Verifies the headers and seals of these segments against each other. Returns the link after the last segment.
fn joints(storage: &dyn Storage, segments: &[Segment]) -> io::Result<Follows> {
    let mut follows = Follows::Start;
    for segment in segments {
        let (header, _) = header_of(storage, *segment)?;
        follows.check(&header).map_err(invalid)?;
        let line = last_line(storage, *segment)?;
        let (seal, hash) = Seal::decode(line.strip_suffix(b"\n").unwrap_or(&line)).map_err(invalid)?;
        follows = Follows::Segment(SegmentEnd::new(&header, &seal, hash));
    }
    Ok(follows)
}

pub(super) fn header_of(storage: &dyn Storage, segment: Segment) -> io::Result<(Header, Hash)> {
    let mut line = Vec::new();
    contents::whole(storage, segment, None)?.take(HEADER_BYTES_MAX).read_until(b'\n', &mut line)?;
    let (header, hash) = Header::decode(line.strip_suffix(b"\n").unwrap_or(&line)).map_err(invalid)?;
    let named = header.prev_seq.checked_add(1) == Some(segment.first_seq);
    if named { Ok((header, hash)) } else { Err(invalid("the file name does not match its header")) }
}

fn invalid(fault: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

pub(super) fn last_line(storage: &dyn Storage, segment: Segment) -> io::Result<Vec<u8>> {
    match segment.form {
        Form::Raw => {
            let file = storage.open(&segment.path(), Access::Read)?;
            line_before(&*file, file.size()?)
        }
        Form::Compressed => Frames::open(storage.open(&segment.path(), Access::Read)?)?.last_line(),
    }
}

/// End of the chain after `line`, if the line is a header or the last event of a batch. The next line may be of the
/// same write: a copy of a log can end between two batches that were written together.
fn end_of(line: &[u8]) -> Option<Link> {
    let line = line.strip_suffix(b"\n")?;
    match EventLine::decode(line) {
        Ok(event) => Some(Link::after(&event.envelope, event.hash)).filter(Link::ends_batch),
        Err(_) => Header::decode(line).ok().map(|(header, hash)| Link::after_header(&header, hash)),
    }
}

/// The line that ends at offset `end`, including its line feed.
fn line_before(file: &dyn StoredFile, end: u64) -> io::Result<Vec<u8>> {
    let mut window = 4096_u64;
    loop {
        let start = end.saturating_sub(window);
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, start)?;
        let before_feed = bytes.len().saturating_sub(1);
        if let Some(feed) = bytes[..before_feed].iter().rposition(|byte| *byte == b'\n') {
            return Ok(bytes.split_off(feed + 1));
        }
        if start == 0 || window > LINE_BYTES_MAX as u64 {
            return Ok(bytes);
        }
        window *= 8;
    }
}
