//! Compressed segments: independent zstd frames of complete lines, followed by an index in a skippable frame.

use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::sync::Arc;

use engine_core::frames::{FRAME_RAW_BYTES, Frame, FrameIndex, FrameSpan, INDEX_BYTES_MAX};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::storage::StoredFile;

/// Compression level. For log lines its ratio is within a few percent of the slowest levels, at a tenth of their cost.
const LEVEL: i32 = 3;
const EVENT: &[u8] = br#"{"event":"#;

/// A compressed segment, open for reading.
#[derive(Debug)]
pub(super) struct Frames {
    file: Arc<dyn StoredFile>,
    spans: Vec<FrameSpan>,
}

impl Frames {
    /// Reads the index.
    pub(super) fn open(file: Arc<dyn StoredFile>) -> io::Result<Frames> {
        let len = file.size()?;
        let start = len.saturating_sub(INDEX_BYTES_MAX as u64);
        let mut tail = vec![0; usize::try_from(len - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut tail, start)?;
        let (index, index_start) = FrameIndex::decode(&tail, len).map_err(invalid)?;
        let spans = index.spans(index_start).collect();
        Ok(Frames { file, spans })
    }

    /// Index of the frame that would contain event `seq`.
    pub(super) fn frame_of(&self, seq: u64) -> usize {
        self.spans.partition_point(|span| span.first_seq <= seq).saturating_sub(1)
    }

    /// The last line of the segment, with its line feed.
    pub(super) fn last_line(&self) -> io::Result<Vec<u8>> {
        let Some(last) = self.spans.last() else { return Ok(Vec::new()) };
        let mut lines = self.lines(last)?;
        let before_feed = lines.len().saturating_sub(1);
        let start = lines[..before_feed].iter().rposition(|byte| *byte == b'\n').map_or(0, |feed| feed + 1);
        Ok(lines.split_off(start))
    }

    /// Reads the lines from frame number `first` to the end of the segment.
    pub(super) fn reading(self, first: usize) -> FrameReader {
        FrameReader { frames: self, next: first, lines: io::Cursor::new(Vec::new()) }
    }

    /// The lines of one frame.
    fn lines(&self, span: &FrameSpan) -> io::Result<Vec<u8>> {
        let len = |range: &Range<u64>| usize::try_from(range.end - range.start).map_err(io::Error::other);
        let (raw_len, mut compressed) = (len(&span.raw)?, vec![0; len(&span.file)?]);
        self.file.read_exact_at(&mut compressed, span.file.start)?;
        let lines = Decompressor::new()?.decompress(&compressed, raw_len).map_err(invalid)?;
        if lines.len() == raw_len {
            Ok(lines)
        } else {
            Err(invalid("the length of a frame differs from its index"))
        }
    }
}

/// The lines of a compressed segment as a stream.
#[derive(Debug)]
pub(super) struct FrameReader {
    frames: Frames,
    next: usize,
    lines: io::Cursor<Vec<u8>>,
}

impl Read for FrameReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.lines.read(buffer)?;
            let next = self.frames.spans.get(self.next).filter(|_| read == 0 && !buffer.is_empty());
            let Some(span) = next else { return Ok(read) };
            self.lines = io::Cursor::new(self.frames.lines(span)?);
            self.next += 1;
        }
    }
}

/// Compresses the complete segment `lines`, whose first event has number `first_seq`, into the empty file `file`. Does
/// not sync the file.
pub(super) fn compress(mut lines: impl BufRead, first_seq: u64, file: &dyn StoredFile) -> io::Result<()> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    let mut index = FrameIndex { frames: Vec::new(), raw_bytes: 0, lines: 0 };
    let (mut frame, mut offset, mut seq) = (Vec::new(), 0, first_seq);
    loop {
        let before = frame.len();
        let read = lines.read_until(b'\n', &mut frame)?;
        if read > 0 {
            if before == 0 {
                let (raw_offset, file_offset) = (index.raw_bytes, offset);
                index.frames.push(Frame { first_seq: seq, raw_offset, file_offset });
            }
            seq += u64::from(frame[before..].starts_with(EVENT));
            index.lines += 1;
        }
        if frame.len() as u64 >= FRAME_RAW_BYTES || (read == 0 && !frame.is_empty()) {
            let compressed = compressor.compress(&frame)?;
            file.write_at(&compressed, offset)?;
            offset += compressed.len() as u64;
            index.raw_bytes += frame.len() as u64;
            frame.clear();
        }
        if read == 0 {
            return file.write_at(&index.encode(), offset);
        }
    }
}

fn invalid(fault: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}
