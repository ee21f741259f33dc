//! A piece of the log: consecutive lines of one segment, whose payloads are encrypted each under a key of its own.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cipher::{PayloadKey, Undecryptable};
use super::key_table::{KeyTable, Row};
use super::name::{Extent, PieceName};
use crate::digest::{Hash, Salt};
use crate::format::{Body, EventLine, Header, LineFault, Seal, archived};

const MAGIC: &str = "memory-archive/1 piece\n";
/// Maximum length of the header, bytes. It has fields of fixed length.
const HEADER_BYTES_MAX: usize = 1 << 12;
/// Maximum length of the lines without their payloads, bytes: a piece is read into memory.
pub const LINES_BYTES_MAX: u64 = 1 << 30;
/// Level of zstd. Higher ones take several times as long for a few per cent.
const LEVEL: i32 = 3;
/// Shorter payloads do not become smaller by compression.
const COMPRESSED_BYTES_MIN: usize = 128;
/// First byte of what is encrypted: how the payload follows after the salt.
const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;
/// An id that no event has.
const NOBODY: &str = "00000000000000000000000000000000";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PieceHeader {
    log_id: String,
    epoch: u64,
    extent: Extent,
    /// Number of the segment, if the piece has its header.
    begins: Option<u64>,
    /// Whether the piece has the seal of its segment.
    ends: bool,
    first_seq: u64,
    last_seq: u64,
    prev: Hash,
    last: Hash,
    lines_bytes: u64,
    stored_lines_bytes: u64,
}

/// Why lines cannot be archived, or a piece cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceFault {
    /// One of the lines.
    #[error("line {line}: {fault}")]
    Line {
        /// Number of the line in the piece, from 1.
        line: usize,
        /// What is wrong.
        fault: LineFault,
    },
    /// The lines are not consecutive, or have no event.
    #[error("line {0} does not follow")]
    Order(usize),
    /// It is not such an object, or its parts do not have the sizes that it says.
    #[error("it is no piece of a log, or a part of it is missing")]
    Form,
    /// Its bytes are not those of which its name has the hash.
    #[error("its SHA-256 is not the one in its name: it was changed")]
    Changed,
    /// It says something else than its name.
    #[error("it is not what its name says")]
    Name,
    /// It belongs to another log.
    #[error("it belongs to another log")]
    Log,
    /// A payload cannot be decrypted.
    #[error("event {seq}: {fault}")]
    Payload {
        /// Number of the event.
        seq: u64,
        /// What is wrong.
        fault: Undecryptable,
    },
}

/// A piece that was made, and the keys of its payloads.
#[derive(Debug)]
pub struct Made {
    /// Its name.
    pub name: PieceName,
    /// The object.
    pub bytes: Vec<u8>,
    /// The keys of its payloads.
    pub keys: KeyTable,
}

/// What is known of the lines while they are read.
struct Reading {
    header: Option<Header>,
    sealed: bool,
    first: Option<(u64, Hash)>,
    last_seq: u64,
    last: Hash,
    lines: Vec<u8>,
    ciphertexts: Vec<Vec<u8>>,
    rows: Vec<Row>,
}

/// Makes a piece of complete lines, each with its line feed. `key` returns a new random key at each call.
///
/// # Errors
/// The lines are not consecutive lines of one segment.
pub fn make(
    extent: Extent,
    log_id: &str,
    epoch: u64,
    lines: &[u8],
    mut key: impl FnMut() -> PayloadKey,
) -> Result<Made, PieceFault> {
    let mut reading = Reading {
        header: None,
        sealed: false,
        first: None,
        last_seq: 0,
        last: Hash::ZERO,
        lines: Vec::new(),
        ciphertexts: Vec::new(),
        rows: Vec::new(),
    };
    let lines = lines.strip_suffix(b"\n").ok_or(PieceFault::Form)?;
    for (place, line) in lines.split(|byte| *byte == b'\n').enumerate() {
        reading.line(place + 1, line, log_id, &mut key)?;
    }
    reading.finish(extent, log_id, epoch)
}

impl Reading {
    fn line(
        &mut self,
        number: usize,
        line: &[u8],
        log_id: &str,
        key: &mut impl FnMut() -> PayloadKey,
    ) -> Result<(), PieceFault> {
        let failed = |fault| PieceFault::Line { line: number, fault };
        if self.sealed {
            return Err(PieceFault::Order(number));
        }
        if Seal::is_one(line) {
            let (seal, hash) = Seal::decode(line).map_err(failed)?;
            let follows = seal.prev == self.last && seal.last_seq == self.last_seq;
            self.keep(number, line, follows)?;
            (self.sealed, self.last) = (true, hash);
            return Ok(());
        }
        if number == 1 && line.starts_with(b"{\"header\"") {
            let (header, hash) = Header::decode(line).map_err(failed)?;
            if header.log_id != log_id {
                return Err(PieceFault::Log);
            }
            (self.last_seq, self.last) = (header.prev_seq, hash);
            self.header = Some(header);
            return self.keep(number, line, true);
        }
        let event = EventLine::decode(line).map_err(failed)?;
        let seq = event.envelope.seq;
        let prev = event.envelope.prev;
        let follows = (number == 1) || (seq == self.last_seq + 1 && prev == self.last);
        let stored = self.event(line, &event, key());
        self.keep(number, &stored, follows)?;
        self.first.get_or_insert((seq, prev));
        (self.last_seq, self.last) = (seq, event.hash);
        Ok(())
    }

    /// Encrypts the payload; returns the line without it.
    fn event(&mut self, line: &[u8], event: &EventLine<'_>, key: PayloadKey) -> Vec<u8> {
        match event.body {
            Body::Whole { salt, payload } => {
                self.ciphertexts.push(key.encrypt(&event.hash.0, &packed(salt, payload)));
                self.rows.push(Row::Key(key));
                archived::without(line, payload)
            }
            Body::Forgotten { by } => {
                self.ciphertexts.push(Vec::new());
                self.rows.push(Row::Forgotten(by.to_owned()));
                line.to_vec()
            }
        }
    }

    fn keep(&mut self, number: usize, line: &[u8], follows: bool) -> Result<(), PieceFault> {
        if !follows {
            return Err(PieceFault::Order(number));
        }
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
        Ok(())
    }

    fn finish(self, extent: Extent, log_id: &str, epoch: u64) -> Result<Made, PieceFault> {
        let (first_seq, prev) = self.first.ok_or(PieceFault::Form)?;
        let stored = zstd::bulk::compress(&self.lines, LEVEL).map_err(|_| PieceFault::Form)?;
        let header = PieceHeader {
            log_id: log_id.to_owned(),
            epoch,
            extent,
            begins: self.header.as_ref().map(|header| header.segment),
            ends: self.sealed,
            first_seq,
            last_seq: self.last_seq,
            prev: self.header.as_ref().map_or(prev, |header| header.prev),
            last: self.last,
            lines_bytes: self.lines.len() as u64,
            stored_lines_bytes: stored.len() as u64,
        };
        let mut bytes = MAGIC.as_bytes().to_vec();
        serde_json::to_writer(&mut bytes, &header).expect("strings and numbers are always JSON");
        bytes.push(b'\n');
        bytes.extend_from_slice(&stored);
        for ciphertext in &self.ciphertexts {
            let length = u32::try_from(ciphertext.len()).map_err(|_| PieceFault::Form)?;
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        bytes.extend(self.ciphertexts.iter().flatten());
        let sha256 = Hash::of(&bytes);
        let name = header.name(sha256);
        Ok(Made { name, bytes, keys: KeyTable { piece: sha256, rows: self.rows } })
    }
}

impl PieceHeader {
    fn name(&self, sha256: Hash) -> PieceName {
        PieceName {
            extent: self.extent,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            epoch: self.epoch,
            prev: self.prev.into(),
            last: self.last.into(),
            sha256,
        }
    }
}

/// Salt and payload as they are encrypted.
fn packed(salt: Salt, payload: &str) -> Vec<u8> {
    let mut plain = vec![PLAIN];
    plain.extend_from_slice(&salt.0);
    if payload.len() >= COMPRESSED_BYTES_MIN
        && let Ok(smaller) = zstd::bulk::compress(payload.as_bytes(), LEVEL)
        && smaller.len() < payload.len()
    {
        plain[0] = COMPRESSED;
        plain.extend_from_slice(&smaller);
    } else {
        plain.extend_from_slice(payload.as_bytes());
    }
    plain
}

fn unpacked(plain: &[u8]) -> Option<(Salt, Vec<u8>)> {
    let (kind, rest) = plain.split_first()?;
    let (salt, payload) = rest.split_first_chunk::<16>()?;
    let payload = match *kind {
        PLAIN => payload.to_vec(),
        COMPRESSED => zstd::bulk::decompress(payload, crate::limits::LINE_BYTES_MAX).ok()?,
        _ => return None,
    };
    Some((Salt(*salt), payload))
}

/// A piece that was read.
#[derive(Debug)]
pub struct Piece {
    header: PieceHeader,
    lines: Vec<u8>,
    /// One for each event, empty if its payload was forgotten before the piece was made.
    ciphertexts: Vec<Vec<u8>>,
}

/// What came of the payloads of a piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Events that have their payloads.
    pub whole: u64,
    /// Events whose payloads are forgotten.
    pub forgotten: u64,
}

impl Piece {
    /// Reads the object with this name, of the log `log_id`.
    ///
    /// # Errors
    /// It is not what its name says.
    pub fn decode(name: &PieceName, log_id: &str, bytes: &[u8]) -> Result<Piece, PieceFault> {
        if Hash::of(bytes) != name.sha256 {
            return Err(PieceFault::Changed);
        }
        let rest = bytes.strip_prefix(MAGIC.as_bytes()).ok_or(PieceFault::Form)?;
        let end =
            rest.iter().take(HEADER_BYTES_MAX).position(|byte| *byte == b'\n').ok_or(PieceFault::Form)?;
        let header: PieceHeader = serde_json::from_slice(&rest[..end]).map_err(|_| PieceFault::Form)?;
        if header.log_id != log_id {
            return Err(PieceFault::Log);
        }
        if header.name(name.sha256) != *name {
            return Err(PieceFault::Name);
        }
        let stored = usize::try_from(header.stored_lines_bytes).map_err(|_| PieceFault::Form)?;
        let (stored, rest) = rest[end + 1..].split_at_checked(stored).ok_or(PieceFault::Form)?;
        let lines_bytes =
            usize::try_from(header.lines_bytes.min(LINES_BYTES_MAX)).map_err(|_| PieceFault::Form)?;
        let lines = zstd::bulk::decompress(stored, lines_bytes).map_err(|_| PieceFault::Form)?;
        if lines.len() as u64 != header.lines_bytes {
            return Err(PieceFault::Form);
        }
        let ciphertexts = cut(rest, header.last_seq - header.first_seq + 1).ok_or(PieceFault::Form)?;
        Ok(Piece { header, lines, ciphertexts })
    }

    /// Number of the segment, if the piece begins one.
    pub fn begins_segment(&self) -> Option<u64> {
        self.header.begins
    }

    /// Hash of the line before the piece.
    pub fn prev(&self) -> Hash {
        self.header.prev
    }

    /// Hash of the last line of the piece.
    pub fn last(&self) -> Hash {
        self.header.last
    }

    /// Number of the last event of the piece that was recorded at or before a time; `None` if there is none. The clock
    /// may have been set back between two events.
    ///
    /// # Errors
    /// A line is damaged.
    pub fn last_recorded_by(&self, time: Timestamp) -> Result<Option<u64>, PieceFault> {
        let lines = self.lines.strip_suffix(b"\n").ok_or(PieceFault::Form)?;
        let events = lines.split(|byte| *byte == b'\n').enumerate();
        let mut found = None;
        for (place, line) in events.filter(|(_, line)| line.starts_with(b"{\"event\"")) {
            let mut text = Vec::new();
            match archived::parts(line) {
                // Which event would have forgotten the payload does not matter for the envelope.
                Some((_, kept)) => archived::forgotten(kept, NOBODY, &mut text),
                None => text.extend_from_slice(line),
            }
            let event =
                EventLine::decode(&text).map_err(|fault| PieceFault::Line { line: place + 1, fault })?;
            if event.envelope.time <= time {
                found = Some(event.envelope.seq);
            }
        }
        Ok(found)
    }

    /// Writes the lines as they were in the log, up to event `until`. A payload without a key is left out as forgotten.
    /// Hashes are not checked here: whoever opens the log checks them all.
    ///
    /// # Errors
    /// A payload cannot be decrypted, or the lines are damaged.
    pub fn restore(&self, keys: &KeyTable, until: u64, out: &mut Vec<u8>) -> Result<Restored, PieceFault> {
        let (mut seq, mut restored_so_far) = (self.header.first_seq, Restored::default());
        let lines = self.lines.strip_suffix(b"\n").ok_or(PieceFault::Form)?;
        for line in lines.split(|byte| *byte == b'\n') {
            if !line.starts_with(b"{\"event\"") {
                // Without its last events a segment has no seal.
                if !Seal::is_one(line) || until >= self.header.last_seq {
                    out.extend_from_slice(line);
                    out.push(b'\n');
                }
                continue;
            }
            if seq > until {
                break;
            }
            let place = usize::try_from(seq - self.header.first_seq).map_err(|_| PieceFault::Form)?;
            let (sealed, row) =
                self.ciphertexts.get(place).zip(keys.rows.get(place)).ok_or(PieceFault::Form)?;
            let counter = self.line(line, seq, sealed, row, out)?;
            restored_so_far.whole += u64::from(counter);
            restored_so_far.forgotten += u64::from(!counter);
            out.push(b'\n');
            seq += 1;
        }
        Ok(restored_so_far)
    }

    /// Writes one event; returns whether it has its payload.
    fn line(
        &self,
        line: &[u8],
        seq: u64,
        sealed: &[u8],
        row: &Row,
        out: &mut Vec<u8>,
    ) -> Result<bool, PieceFault> {
        if sealed.is_empty() {
            out.extend_from_slice(line);
            return Ok(false);
        }
        let (hash, without) = archived::parts(line).ok_or(PieceFault::Form)?;
        match row {
            Row::Forgotten(by) => archived::forgotten(without, by, out),
            Row::Key(key) => {
                let plain =
                    key.decrypt(&hash.0, sealed).map_err(|fault| PieceFault::Payload { seq, fault })?;
                let (salt, payload) = unpacked(&plain).ok_or(PieceFault::Form)?;
                archived::whole(without, salt, &payload, out);
            }
        }
        Ok(matches!(row, Row::Key(_)))
    }
}

/// The parts of the body, whose lengths come first.
fn cut(bytes: &[u8], count: u64) -> Option<Vec<Vec<u8>>> {
    let count = usize::try_from(count).ok()?;
    let (lengths, mut rest) = bytes.split_at_checked(count.checked_mul(size_of::<u32>())?)?;
    let mut parts = Vec::with_capacity(count);
    for length in lengths.as_chunks::<4>().0 {
        let (part, after) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        parts.push(part.to_vec());
        rest = after;
    }
    rest.is_empty().then_some(parts)
}

#[cfg(test)]
#[path = "piece_tests.rs"]
mod tests;
