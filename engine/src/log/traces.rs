//! The search for payloads in the files of a log, whatever form they have.

use std::io::{self, BufRead};

use engine_core::forgetting::Traces;

use super::contents;
use super::segment;
use super::torn;
use crate::forgotten::Searched;
use crate::storage::{Storage, read_small};

/// Looks for traces in every segment, compressed ones included, and in the torn bytes that were set aside; in at most so many
/// bytes of files.
pub(crate) fn search_log(storage: &dyn Storage, traces: &Traces, bytes_max: u64) -> io::Result<Searched> {
    let mut searched = Searched::default();
    // The newest first: where there is too much, what was written anew last is looked through.
    for segment in segment::list(storage)?.segments.into_iter().rev() {
        if !searched.admit(storage.status(&segment.path())?.len, bytes_max) {
            continue;
        }
        let (mut lines, mut line) = (contents::whole(storage, segment, None)?, Vec::new());
        while lines.read_until(b'\n', &mut line)? > 0 {
            searched.found += traces.found_in(&line);
            line.clear();
        }
    }
    for path in torn::paths(storage)? {
        if searched.admit(storage.status(&path)?.len, bytes_max) {
            searched.found += traces.found_in(&read_small(storage, &path, bytes_max)?);
        }
    }
    Ok(searched)
}
