//! Searches the files of a log for payloads, in raw and compressed form.

use std::io::{self, BufRead};

use engine_core::forgetting::Traces;

use super::contents;
use super::segment::{self, Form, Segment};
use super::torn_bytes;
use crate::storage::{Storage, read_small};
use crate::trace_search::TraceSearchResult;

/// Searches every segment, including compressed ones, and the saved torn bytes for traces. Searches at most `bytes_max`
/// bytes of files.
///
/// # Errors
/// The log cannot be listed or read.
pub fn search_log(storage: &dyn Storage, traces: &Traces, bytes_max: u64) -> io::Result<TraceSearchResult> {
    let mut searched = TraceSearchResult::default();
    // Search the newest segments first, so that the most recent rewrites are searched even if the limit is reached.
    for segment in segment::list(storage)?.segments.into_iter().rev() {
        searched = search_segment(storage, segment, traces, bytes_max, searched)?;
    }
    for path in torn_bytes::paths(storage)? {
        if searched.admit(storage.status(&path)?.len, bytes_max) {
            searched.found += traces.found_in(&read_small(storage, &path, bytes_max)?);
        }
    }
    Ok(searched)
}

/// Searches one segment. If the keeper has compressed the segment since it was listed, searches the compressed form.
fn search_segment(
    storage: &dyn Storage,
    segment: Segment,
    traces: &Traces,
    bytes_max: u64,
    so_far: TraceSearchResult,
) -> io::Result<TraceSearchResult> {
    match search_form(storage, segment, traces, bytes_max, so_far) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound && segment.form == Form::Raw => {
            search_form(storage, Segment::compressed(segment.first_seq), traces, bytes_max, so_far)
        }
        searched => searched,
    }
}

fn search_form(
    storage: &dyn Storage,
    segment: Segment,
    traces: &Traces,
    bytes_max: u64,
    mut searched: TraceSearchResult,
) -> io::Result<TraceSearchResult> {
    if !searched.admit(storage.status(&segment.path())?.len, bytes_max) {
        return Ok(searched);
    }
    let (mut lines, mut line) = (contents::whole(storage, segment, None)?, Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        searched.found += traces.found_in(&line);
        line.clear();
    }
    Ok(searched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment_compression;
    use crate::storage::FilePermissions;
    use crate::storage::faulty::FaultyStorage;

    #[test]
    fn a_segment_that_is_compressed_while_it_is_looked_for_is_found() {
        let storage = FaultyStorage::new();
        storage.create_directory(segment::DIRECTORY).unwrap();
        let text = "a text that is long enough to be told from others, whatever it says";
        let raw = Segment::raw(1);
        let file = storage.create(&raw.path(), FilePermissions::Group).unwrap();
        file.write_at(format!("{{\"format\":1}}\n{{\"seq\":1,\"text\":\"{text}\"}}\n").as_bytes(), 0)
            .unwrap();
        file.sync().unwrap();
        let traces = Traces::of([text]);
        let search_traces =
            |segment| search_segment(&storage, segment, &traces, 1 << 20, TraceSearchResult::default());
        assert_eq!(search_traces(raw).unwrap().found, 1);
        segment_compression::compress_segment(&storage, 1).unwrap();
        segment_compression::remove_raw(&storage, 1).unwrap();
        let searched = search_traces(raw).unwrap();
        assert_eq!((searched.found, searched.files), (1, 1));
        assert!(search_traces(Segment::raw(7)).is_err(), "one that is in neither form");
        assert_eq!(search_log(&storage, &traces, 1 << 20).unwrap(), searched);
    }
}
