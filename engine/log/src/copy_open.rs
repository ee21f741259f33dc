//! Opens the copy of the log of another engine. In contrast to [`super::open`], no line is written and no epoch begins.

use std::io::{self, BufRead};

use engine_core::format::Seal;

use super::contents;
use super::copy_mark::mark;
use super::handles::LogHandles;
use super::keyring::Keyring;
use super::local_checkpoint;
use super::log_scan::{LogScan, OpenedCopy};
use super::open::{gone, lost};
use super::open_outcome::OpenFailure;
use super::segment::{self, DIRECTORY, Form, Segment};
use crate::storage::{Access, Storage};

/// Opens, recovers, syncs and verifies the copy. `None` if it is empty.
pub(super) fn open(handles: &LogHandles) -> Result<Option<OpenedCopy>, OpenFailure> {
    let storage = &*handles.context.storage;
    mark(storage)?;
    for name in &segment::list(storage)?.unfinished {
        storage.remove(&format!("{DIRECTORY}/{name}"))?;
    }
    cut_unfinished_rotation(storage)?;
    let segments = segment::list(storage)?.segments;
    let keyring = Keyring::load(storage)?;
    let claim = local_checkpoint::read(storage, keyring.as_ref())?;
    if let Some(last) = segments.last().filter(|last| last.form == Form::Compressed) {
        // A segment is compressed only when the next one is there.
        let seq = claim.as_ref().map_or(last.first_seq, |claim| claim.size);
        return Err(lost(*last, seq, "the segment after the last compressed one is gone"));
    }
    let resume = claim.as_ref().and_then(|claim| local_checkpoint::resume(storage, claim, &segments));
    let scan = LogScan::through(&handles.context, &segments, resume)?;
    let Some(opened) = scan.finish_copy(&handles.context)? else {
        let claimed = claim.map_or(0, |claim| claim.size);
        return if claimed > 0 { Err(gone(claimed)) } else { Ok(None) };
    };
    handles.attestation.keys_of(&handles.context, keyring, &opened.active.header.log_id)?;
    handles.attestation.claim(claim);
    Ok(Some(opened))
}

/// Removes what a rotation that did not finish has left: a segment without a complete header, and the seal of the
/// segment before it. Both are asked for again, together.
fn cut_unfinished_rotation(storage: &dyn Storage) -> io::Result<()> {
    while let Some(last) = segment::list(storage)?.segments.pop() {
        if last.form == Form::Compressed {
            return Ok(());
        }
        if has_a_line(storage, last)? {
            return cut_seal(storage, last);
        }
        storage.remove(&last.path())?;
        storage.sync_directory(DIRECTORY)?;
    }
    Ok(())
}

fn has_a_line(storage: &dyn Storage, segment: Segment) -> io::Result<bool> {
    let mut line = Vec::new();
    contents::whole(storage, segment, None)?.read_until(b'\n', &mut line)?;
    Ok(line.last() == Some(&b'\n'))
}

fn cut_seal(storage: &dyn Storage, segment: Segment) -> io::Result<()> {
    let line = local_checkpoint::last_line(storage, segment)?;
    if !Seal::is_one(&line) {
        return Ok(());
    }
    let file = storage.open(&segment.path(), Access::Write)?;
    file.truncate(file.size()?.saturating_sub(line.len() as u64))?;
    file.sync()
}
