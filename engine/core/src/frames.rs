//! The index at the end of a compressed segment.
//!
//! A compressed segment is a zstd file of independent frames, each with complete lines, followed by one skippable frame
//! that contains the index of their positions. Any zstd decompressor restores the raw segment; a reader that knows the
//! index can start at the frame it needs.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::LINE_BYTES_MAX;

/// Raw size from which a frame is closed at the end of the current line, bytes.
pub const FRAME_RAW_BYTES: u64 = 1 << 20;
/// Largest raw size of a frame, bytes: one line more than [`FRAME_RAW_BYTES`].
pub const FRAME_RAW_BYTES_MAX: u64 = FRAME_RAW_BYTES + LINE_BYTES_MAX as u64 + 1;
/// Maximum number of frames of a segment: the largest segment, one gibibyte plus one line, has a quarter of this.
pub const FRAMES_MAX: usize = 4096;
/// Maximum length of the index including the eight bytes before it, bytes: [`FRAMES_MAX`] entries of three numbers.
pub const INDEX_BYTES_MAX: usize = 8 + FRAMES_MAX * 64 + 128;

/// The first of zstd's magic numbers for skippable frames, which decompressors ignore.
const MAGIC: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();

/// Start of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 3]", into = "[u64; 3]")]
pub struct Frame {
    /// Sequence number of the first event in the frame. If the frame contains only the seal: the number after the
    /// segment's last event.
    pub first_seq: u64,
    /// Offset in the raw segment, bytes.
    pub raw_offset: u64,
    /// Offset in the file, bytes.
    pub file_offset: u64,
}

impl From<[u64; 3]> for Frame {
    fn from([first_seq, raw_offset, file_offset]: [u64; 3]) -> Frame {
        Frame { first_seq, raw_offset, file_offset }
    }
}

impl From<Frame> for [u64; 3] {
    fn from(Frame { first_seq, raw_offset, file_offset }: Frame) -> [u64; 3] {
        [first_seq, raw_offset, file_offset]
    }
}

/// Index of a compressed segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameIndex {
    /// The frames, in file order.
    pub frames: Vec<Frame>,
    /// Length of the raw segment, bytes.
    pub raw_bytes: u64,
    /// Number of lines of the raw segment, including header and seal.
    pub lines: u64,
}

/// A frame with its start and end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameSpan {
    /// Sequence number of the first event in the frame.
    pub first_seq: u64,
    /// Range in the raw segment, bytes.
    pub raw: Range<u64>,
    /// Range in the file, bytes.
    pub file: Range<u64>,
}

/// Why a file does not end with a valid index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IndexFault {
    /// The file does not end with a skippable frame of the right length.
    #[error("the file does not end with the index of its frames")]
    Missing,
    /// The frame does not contain an index in the form this engine writes.
    #[error("the index of the frames is malformed")]
    Form,
    /// The positions in the index are impossible.
    #[error("the index of the frames contradicts itself")]
    Places,
}

impl IndexFault {
    /// Stable label, for metrics and reports.
    pub fn label(&self) -> &'static str {
        match self {
            IndexFault::Missing => "index_missing",
            IndexFault::Form => "index_form",
            IndexFault::Places => "index_places",
        }
    }
}

impl FrameIndex {
    /// Encodes the index as a skippable frame, to be written after the last frame.
    pub fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("a struct of numbers is always JSON");
        let len = u32::try_from(json.len()).expect("the number of frames is bounded");
        [MAGIC.as_slice(), &len.to_le_bytes(), &json].concat()
    }

    /// Reads the index from the end of a file of length `file_len`. `tail` contains its last [`INDEX_BYTES_MAX`] bytes,
    /// or the complete file if it is shorter. Returns the index and the offset at which it starts, which is the end of
    /// the last frame.
    ///
    /// # Errors
    ///
    /// Why there is no valid index.
    pub fn decode(tail: &[u8], file_len: u64) -> Result<(FrameIndex, u64), IndexFault> {
        // Neither the JSON nor the length after the magic number can contain the magic number's bytes, so its last
        // occurrence marks the index.
        let marks = tail.windows(MAGIC.len()).rposition(|bytes| bytes == MAGIC);
        let frame = &tail[marks.ok_or(IndexFault::Missing)?..];
        let (length, json) = frame[MAGIC.len()..].split_first_chunk().ok_or(IndexFault::Missing)?;
        if frame.len() > INDEX_BYTES_MAX || u32::from_le_bytes(*length) as usize != json.len() {
            return Err(IndexFault::Missing);
        }
        let start = file_len.checked_sub(frame.len() as u64).ok_or(IndexFault::Missing)?;
        let index: FrameIndex = serde_json::from_slice(json).map_err(|_| IndexFault::Form)?;
        // Only the encoding that `encode` gives is valid.
        if index.encode() != frame {
            return Err(IndexFault::Form);
        }
        if index.is_sound(start) { Ok((index, start)) } else { Err(IndexFault::Places) }
    }

    fn is_sound(&self, file_end: u64) -> bool {
        let begins = self.frames.first().is_some_and(|first| (first.raw_offset, first.file_offset) == (0, 0));
        let rises = self.frames.windows(2).all(|pair| pair[0].first_seq <= pair[1].first_seq);
        let bounded = |range: &Range<u64>, most: u64| {
            range.end.checked_sub(range.start).is_some_and(|len| (1..=most).contains(&len))
        };
        let fits = (0..self.frames.len()).all(|i| {
            let span = self.span(i, file_end);
            bounded(&span.raw, FRAME_RAW_BYTES_MAX) && bounded(&span.file, u64::MAX)
        });
        begins
            && rises
            && fits
            && self.frames.len() <= FRAMES_MAX
            && (2..=self.raw_bytes).contains(&self.lines)
    }

    fn span(&self, i: usize, file_end: u64) -> FrameSpan {
        let Frame { first_seq, raw_offset, file_offset } = self.frames[i];
        let (raw_end, file_end) = match self.frames.get(i + 1) {
            Some(next) => (next.raw_offset, next.file_offset),
            None => (self.raw_bytes, file_end),
        };
        FrameSpan { first_seq, raw: raw_offset..raw_end, file: file_offset..file_end }
    }

    /// The frame that contains the event `seq`; None if the segment does not contain it. `index_start` is the offset
    /// that [`FrameIndex::decode`] returned.
    pub fn frame_of(&self, seq: u64, index_start: u64) -> Option<FrameSpan> {
        let after = self.frames.partition_point(|frame| frame.first_seq <= seq);
        Some(self.span(after.checked_sub(1)?, index_start))
    }

    /// The frame that contains the byte at `raw_offset` of the raw segment.
    pub fn frame_at(&self, raw_offset: u64, index_start: u64) -> Option<FrameSpan> {
        let after = self.frames.partition_point(|frame| frame.raw_offset <= raw_offset);
        Some(self.span(after.checked_sub(1)?, index_start)).filter(|span| span.raw.contains(&raw_offset))
    }

    /// All frames in order.
    pub fn spans(&self, index_start: u64) -> impl Iterator<Item = FrameSpan> + '_ {
        (0..self.frames.len()).map(move |i| self.span(i, index_start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index of frames that take 100 bytes each in the file, and the offset at which the frames end.
    fn sample() -> (FrameIndex, u64) {
        let frame = |first_seq, raw_offset, file_offset| Frame { first_seq, raw_offset, file_offset };
        let frames = vec![frame(11, 0, 0), frame(15, 1000, 100), frame(18, 3000, 200)];
        (FrameIndex { frames, raw_bytes: 3500, lines: 12 }, 300)
    }

    fn file(index: &FrameIndex, end: u64) -> Vec<u8> {
        let frames = vec![b'z'; usize::try_from(end).expect("tests are small")];
        [frames, index.encode()].concat()
    }

    #[test]
    fn the_index_is_found_at_the_end() {
        let (index, end) = sample();
        let file = file(&index, end);
        assert_eq!(FrameIndex::decode(&file, file.len() as u64), Ok((index.clone(), end)));
        assert_eq!(FrameIndex::decode(&file[250..], file.len() as u64), Ok((index.clone(), end)));
        let json = r#"{"frames":[[11,0,0],[15,1000,100],[18,3000,200]],"raw_bytes":3500,"lines":12}"#;
        assert_eq!(&index.encode()[8..], json.as_bytes());
        assert_eq!(index.encode()[..4], [0x50, 0x2A, 0x4D, 0x18]);
        // Compressed bytes may contain the magic number.
        let marked = [&[0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, b'{'], file.as_slice()].concat();
        assert!(FrameIndex::decode(&marked, marked.len() as u64).is_ok());
    }

    #[test]
    fn events_and_bytes_are_found_in_their_frames() {
        let (index, end) = sample();
        let frame_of = |seq| index.frame_of(seq, end).map(|span| span.first_seq);
        assert_eq!(
            [10, 11, 14, 15, 17, 18, 99].map(frame_of),
            [None, Some(11), Some(11), Some(15), Some(15), Some(18), Some(18)]
        );
        let last = index.frame_of(18, end).expect("it has a frame");
        assert_eq!((last.raw, last.file), (3000..3500, 200..300));
        let frame_at = |raw| index.frame_at(raw, end).map(|span| span.first_seq);
        assert_eq!([0, 999, 1000, 3499, 3500].map(frame_at), [Some(11), Some(11), Some(15), Some(18), None]);
        assert_eq!(index.spans(end).map(|span| span.raw.end).collect::<Vec<_>>(), [1000, 3000, 3500]);
    }

    #[test]
    fn no_flipped_bit_and_no_prefix_is_an_index_of_the_same_file() {
        let (index, end) = sample();
        let whole = file(&index, end);
        for len in 0..whole.len() {
            assert_eq!(FrameIndex::decode(&whole[..len], len as u64), Err(IndexFault::Missing));
        }
        for at in usize::try_from(end).expect("small")..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                // With some changed digits the index stays valid. The change is detected when a frame is read, because
                // frames have checksums and lines are chained by hashes.
                let other = FrameIndex::decode(&bytes, bytes.len() as u64);
                assert_ne!(other.map(|(index, _)| index), Ok(index.clone()), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn places_that_cannot_be_are_refused() {
        fn check(change: impl Fn(&mut FrameIndex), fault: IndexFault) {
            let (mut index, end) = sample();
            change(&mut index);
            let file = file(&index, end);
            assert_eq!(FrameIndex::decode(&file, file.len() as u64), Err(fault), "{index:?}");
        }
        use IndexFault::{Missing, Places};
        check(|index| index.frames.clear(), Places);
        check(|index| index.frames[0].raw_offset = 1, Places);
        check(|index| index.frames[0].file_offset = 1, Places);
        check(|index| index.frames[1].file_offset = 200, Places);
        check(|index| index.frames[2].file_offset = 300, Places);
        check(|index| index.frames[2].raw_offset = 1000, Places);
        check(|index| index.frames[2].first_seq = 14, Places);
        check(|index| index.raw_bytes = 3000, Places);
        check(|index| index.raw_bytes = 3001 + FRAME_RAW_BYTES_MAX, Places);
        check(|index| index.lines = 1, Places);
        check(|index| index.lines = 3501, Places);
        let many = |index: &mut FrameIndex| {
            let frame = |n| Frame { first_seq: n, raw_offset: n, file_offset: n };
            index.frames = (0..=FRAMES_MAX as u64).map(frame).collect();
        };
        check(many, Places);
        check(|index| index.frames = vec![Frame::from([u64::MAX; 3]); FRAMES_MAX * 2], Missing);
    }

    #[test]
    fn another_spelling_is_refused() {
        let (index, end) = sample();
        let json = String::from_utf8(index.encode()[8..].to_vec()).expect("JSON is text");
        for changed in [
            json.replace(',', ", "),
            json.replace("11,", "11.0,"),
            json.replace("lines", "lanes"),
            "{}".into(),
        ] {
            let len = u32::try_from(changed.len()).expect("short").to_le_bytes();
            let file = [vec![b'z'; 300], MAGIC.to_vec(), len.to_vec(), changed.into_bytes()].concat();
            assert_eq!(end, 300);
            assert_eq!(FrameIndex::decode(&file, file.len() as u64), Err(IndexFault::Form));
        }
    }

    #[test]
    fn the_largest_index_has_its_place() {
        let large = Frame { first_seq: 1 << 62, raw_offset: 1 << 31, file_offset: 1 << 31 };
        let index = FrameIndex { frames: vec![large; FRAMES_MAX], raw_bytes: 1 << 31, lines: 1 << 31 };
        assert!(index.encode().len() <= INDEX_BYTES_MAX);
    }
}
