//! Reads a log without locking it, with or without a running engine.

use std::io::{self, BufRead, Write};

use engine_core::checkpoint::Checkpoint;
use engine_core::format::{EventLine, Seal};
use engine_core::merkle;
use engine_core::note::NOTE_BYTES_MAX;
use serde::Serialize;
use serde_json::value::RawValue;

use super::contents;
use super::local_checkpoint;
use super::segment::{self, Form};
use super::tree;
use crate::storage::{Access, Storage, read_small};

/// One segment, as listed by `log ls`.
#[derive(Debug, Serialize)]
pub struct SegmentView {
    /// File name in `log/`.
    pub file: String,
    /// Number of the segment.
    pub segment: u64,
    /// Epoch in its header.
    pub epoch: u64,
    /// Number of the segment's first event.
    pub first_seq: u64,
    /// Number of the last event, if the segment is sealed.
    pub last_seq: Option<u64>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Whether the file is compressed.
    pub compressed: bool,
    /// Merkle root at the end of the segment, if the segment is sealed.
    pub root: Option<String>,
}

/// Lists all segments in order.
///
/// # Errors
/// A segment cannot be read.
pub fn list_segments(storage: &dyn Storage) -> io::Result<Vec<SegmentView>> {
    let view = |segment: segment::Segment| {
        let (header, _) = local_checkpoint::header_of(storage, segment)?;
        let line = local_checkpoint::last_line(storage, segment)?;
        let seal = Seal::decode(line.strip_suffix(b"\n").unwrap_or(&line)).ok().map(|(seal, _)| seal);
        Ok(SegmentView {
            file: segment.name(),
            segment: header.segment,
            epoch: header.epoch,
            first_seq: segment.first_seq,
            last_seq: seal.as_ref().map(|seal| seal.last_seq),
            bytes: storage.status(&segment.path())?.len,
            compressed: segment.form == Form::Compressed,
            root: seal.map(|seal| seal.root.to_string()),
        })
    };
    segment::list(storage)?.segments.into_iter().map(view).collect()
}

/// Writes at most `count` stored lines of the events after number `after` to `out`. Returns the number of lines
/// written.
///
/// # Errors
/// The log cannot be read, or `out` cannot be written.
pub fn write_lines(storage: &dyn Storage, after: u64, count: u64, out: &mut dyn Write) -> io::Result<u64> {
    let segments = segment::list(storage)?.segments;
    let first = segments.partition_point(|segment| segment.first_seq <= after + 1).saturating_sub(1);
    let (mut next, mut left, mut line) = (after + 1, count, Vec::new());
    for segment in segments.into_iter().skip(first) {
        let mut lines = contents::lines_from(storage, segment, next, None)?;
        while left > 0 && lines.read_until(b'\n', &mut line)? > 0 {
            // The last line may be a write in progress; stop before it.
            let is_next = line.strip_suffix(b"\n").and_then(|line| EventLine::decode(line).ok());
            if is_next.is_some_and(|event| event.envelope.seq == next) {
                out.write_all(&line)?;
                (next, left) = (next + 1, left - 1);
            }
            line.clear();
        }
    }
    Ok(count - left)
}

/// The newest checkpoint on disk: the signed text and its parsed contents. The signature is not verified, because
/// verifying it needs the key.
///
/// # Errors
/// The checkpoint is missing, unreadable or malformed.
pub fn stored_checkpoint(storage: &dyn Storage) -> io::Result<(String, Checkpoint)> {
    let note = read_small(storage, local_checkpoint::PATH, NOTE_BYTES_MAX as u64)?;
    let invalid =
        |fault: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, fault.to_string());
    let ring = super::keyring::Keyring::load(storage)?.ok_or_else(|| invalid(&"there is no key in keys/"))?;
    let (checkpoint, _) = Checkpoint::open(&note, &ring.verifiers()).map_err(|fault| invalid(&fault))?;
    Ok((String::from_utf8(note).map_err(|fault| invalid(&fault))?, checkpoint))
}

/// Proof that event `seq` is in the stored tree of the first `size` events. `None` if the event is not in that tree.
///
/// # Errors
/// The tree cannot be read.
pub fn stored_inclusion(
    storage: &dyn Storage,
    seq: u64,
    size: u64,
) -> io::Result<Option<Vec<engine_core::digest::Hash>>> {
    let file = storage.open(tree::PATH, Access::Read)?;
    merkle::inclusion_proof(seq.saturating_sub(1), size, |position| tree::read_hash(&*file, position))
}

/// The bytes covered by the hash of an event: the first value after the fixed prefix of the line.
pub fn stored_envelope(line: &[u8]) -> Option<String> {
    let start = line.iter().skip(1).position(|byte| *byte == b'{')? + 1;
    let mut values = serde_json::Deserializer::from_slice(line.get(start..)?).into_iter::<Box<RawValue>>();
    values.next()?.ok().map(|envelope| envelope.get().to_owned())
}
