//! Replaces a raw sealed segment with its compressed form, after reading the whole compressed form back.

use std::io::{self, BufRead};

use super::contents::{self, Contents};
use super::frame_file::{Frames, compress};
use super::segment::{DIRECTORY, Segment, UNFINISHED};
use crate::storage::{Access, FailPoint, FilePermissions, Storage, ignore_missing};

/// Writes the compressed form, reads it back and gives it its final name. The raw form remains.
pub(super) fn compress_segment(storage: &dyn Storage, first_seq: u64) -> io::Result<()> {
    let (raw, compressed) = (Segment::raw(first_seq), Segment::compressed(first_seq));
    let unfinished = compressed.path() + UNFINISHED;
    ignore_missing(storage.remove(&unfinished))?;
    let file = storage.create(&unfinished, FilePermissions::Group)?;
    compress(contents::whole(storage, raw, None)?, first_seq, &*file)?;
    file.sync()?;
    storage.reached(FailPoint::CompressedWritten)?;
    let back = Frames::open(storage.open(&unfinished, Access::Read)?)?.reading(0);
    let back: Contents = io::BufReader::with_capacity(1 << 18, Box::new(back));
    if !same(contents::whole(storage, raw, None)?, back)? {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the compressed segment differs from the raw one",
        ));
    }
    storage.rename(&unfinished, &compressed.path())?;
    storage.sync_directory(DIRECTORY)?;
    storage.reached(FailPoint::CompressedNamed)
}

/// Removes the raw form. The compressed form must already be durable under its final name.
pub(super) fn remove_raw(storage: &dyn Storage, first_seq: u64) -> io::Result<()> {
    storage.remove(&Segment::raw(first_seq).path())?;
    storage.sync_directory(DIRECTORY)?;
    storage.reached(FailPoint::RawRemoved)
}

/// Whether two streams contain the same bytes.
fn same(mut one: Contents, mut other: Contents) -> io::Result<bool> {
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let len = left.len().min(right.len());
        if len == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left[..len] != right[..len] {
            return Ok(false);
        }
        one.consume(len);
        other.consume(len);
    }
}
