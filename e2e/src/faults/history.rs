//! A log as an attacker with the disk sees it: segments and lines, and functions that rewrite them with valid hashes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use engine_core::digest::{Hash, Salt};
use engine_core::format::{Body, EventLine, Header, Seal};

/// The segments below `log/` as raw bytes, by file name without the compression suffix.
#[derive(Debug, Clone)]
pub(super) struct History {
    pub(super) segments: BTreeMap<String, Vec<u8>>,
}

const COMPRESSED: &str = ".zst";

impl History {
    /// Reads and decompresses the segments.
    pub(super) fn read(data: &Path) -> Result<History> {
        let mut segments = BTreeMap::new();
        for entry in fs::read_dir(data.join("log"))? {
            let path = entry?.path();
            let name = path.file_name().context("a file without a name")?.to_string_lossy().into_owned();
            if !name.contains(".jsonl") {
                continue;
            }
            let bytes = fs::read(&path)?;
            let raw = if name.ends_with(COMPRESSED) { zstd::decode_all(bytes.as_slice())? } else { bytes };
            segments.insert(name.trim_end_matches(COMPRESSED).to_owned(), raw);
        }
        Ok(History { segments })
    }

    /// Replaces the existing segments with these, uncompressed. Also removes the files that a start would trust instead
    /// of reading the log, as an attacker who edits a log would do first.
    pub(super) fn write(&self, data: &Path) -> Result<()> {
        let log = data.join("log");
        for entry in fs::read_dir(&log)? {
            let path = entry?.path();
            if path.to_string_lossy().contains(".jsonl") {
                fs::remove_file(path)?;
            }
        }
        distrust(data)?;
        for (name, bytes) in &self.segments {
            fs::write(log.join(name), bytes)?;
        }
        Ok(())
    }

    /// Bytes of the nth segment.
    pub(super) fn segment(&mut self, n: usize) -> Result<&mut Vec<u8>> {
        self.segments.values_mut().nth(n).context("no such segment")
    }

    pub(super) fn last(&mut self) -> Result<&mut Vec<u8>> {
        self.segments.values_mut().next_back().context("no segment")
    }

    /// The header of the log.
    pub(super) fn header(&self) -> Result<Header> {
        let first = self.segments.values().next().context("no segment")?;
        let line = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(Header::decode(line)?.0)
    }

    /// Every event line, in order.
    pub(super) fn event_lines(&self) -> Vec<Vec<u8>> {
        let lines = self.segments.values().flat_map(|bytes| bytes.split(|byte| *byte == b'\n'));
        lines.filter(|line| line.starts_with(br#"{"event":"#)).map(<[u8]>::to_vec).collect()
    }
}

/// Removes the local checkpoint and the tree.
pub(super) fn distrust(data: &Path) -> Result<()> {
    for name in ["log/checkpoint", "log/tree"] {
        let path = data.join(name);
        if path.exists() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The lines of a segment, each with its line feed.
pub(super) fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Builds a log of one segment that verifies completely: `event_lines`, in this order, under `header`.
pub(super) fn rechained(header: &Header, event_lines: &[Vec<u8>]) -> Result<History> {
    let (mut bytes, mut prev) = header.encode();
    for (line, seq) in event_lines.iter().zip(header.prev_seq + 1..) {
        let event = EventLine::decode(line)?;
        let mut envelope = event.envelope;
        (envelope.seq, envelope.prev) = (seq, prev);
        (envelope.batch, envelope.synced) = ([1, 1], seq - 1);
        let Body::Whole { salt, payload } = event.body else { continue };
        envelope.payload_sha256 = Hash::salted(salt, payload.as_bytes());
        let stored = serde_json::to_vec(&envelope)?;
        prev = Hash::of(&stored);
        bytes.extend_from_slice(&line_of(&stored, prev, salt, payload));
    }
    Ok(History { segments: BTreeMap::from([("00000000000000000001.jsonl".to_owned(), bytes)]) })
}

fn line_of(stored: &[u8], hash: Hash, salt: Salt, payload: &str) -> Vec<u8> {
    let rest = format!(r#","hash":"{hash}","salt":"{salt}","payload":{payload}}}"#);
    [br#"{"event":"#, stored, rest.as_bytes(), b"\n"].concat()
}

/// Returns the event line with another payload and a matching commitment, but with the old envelope hash.
pub(super) fn recommitted(line: &[u8]) -> Result<Vec<u8>> {
    let event = EventLine::decode(line.trim_ascii_end())?;
    let (hash, salt, mut envelope) = (event.hash, event.salt().context("a forgotten event")?, event.envelope);
    let payload = r#"{"forged":true}"#;
    envelope.payload_sha256 = Hash::salted(salt, payload.as_bytes());
    Ok(line_of(&serde_json::to_vec(&envelope)?, hash, salt, payload))
}

/// Returns the event line with another payload, and with a valid hash and commitment.
pub(super) fn repaid(line: &[u8]) -> Result<Vec<u8>> {
    let event = EventLine::decode(line.trim_ascii_end())?;
    let (salt, mut envelope) = (event.salt().context("a forgotten event")?, event.envelope);
    let payload = r#"{"forged":true}"#;
    envelope.payload_sha256 = Hash::salted(salt, payload.as_bytes());
    let stored = serde_json::to_vec(&envelope)?;
    let mut line = line_of(&stored, Hash::of(&stored), salt, payload);
    line.pop();
    Ok(line)
}

/// Changes the seal and recomputes its hash.
pub(super) fn resealed(bytes: &mut Vec<u8>, change: impl FnOnce(&mut Seal)) -> Result<()> {
    let mut lines = lines(bytes);
    let last = lines.pop().context("an empty segment")?;
    let (mut seal, _) = Seal::decode(last.trim_ascii_end())?;
    change(&mut seal);
    lines.push(seal.encode().0);
    *bytes = lines.concat();
    Ok(())
}

/// Changes the header and recomputes its hash.
pub(super) fn reheaded(bytes: &mut Vec<u8>, change: impl FnOnce(&mut Header)) -> Result<()> {
    let mut lines = lines(bytes);
    let (mut header, _) = Header::decode(lines.first().context("an empty segment")?.trim_ascii_end())?;
    change(&mut header);
    lines[0] = header.encode().0;
    *bytes = lines.concat();
    Ok(())
}
