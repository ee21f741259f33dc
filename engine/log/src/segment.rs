//! The files a log consists of.

use std::io;

use engine_core::format::segment_file_name;

use crate::storage::Storage;

/// Directory of the log in a data directory.
pub(crate) const DIRECTORY: &str = "log";
/// Suffix of a file that is being made: never part of the log, removed by the next start.
pub(super) const UNFINISHED: &str = ".tmp";
const COMPRESSED: &str = ".zst";

/// How a segment is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As JSON Lines.
    Raw,
    /// The same in zstd frames, with an index.
    Compressed,
}

/// One file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The event after its header has this number, or would have it.
    pub first_seq: u64,
    pub form: Form,
}

impl Segment {
    pub fn raw(first_seq: u64) -> Segment {
        Segment { first_seq, form: Form::Raw }
    }

    pub fn compressed(first_seq: u64) -> Segment {
        Segment { first_seq, form: Form::Compressed }
    }

    /// File name, without the directory.
    pub fn name(self) -> String {
        let name = segment_file_name(self.first_seq);
        match self.form {
            Form::Raw => name,
            Form::Compressed => name + COMPRESSED,
        }
    }

    /// Path in the data directory.
    pub fn path(self) -> String {
        format!("{DIRECTORY}/{}", self.name())
    }

    fn parse(name: &str) -> Option<Segment> {
        let (name, form) = match name.strip_suffix(COMPRESSED) {
            Some(name) => (name, Form::Compressed),
            None => (name, Form::Raw),
        };
        let first_seq = name.strip_suffix(".jsonl")?.parse().ok()?;
        (segment_file_name(first_seq) == name).then_some(Segment { first_seq, form })
    }
}

/// What is in the directory of a log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In order, one for each first number. Where a segment is there in both forms it was being compressed: the raw one
    /// stands.
    pub segments: Vec<Segment>,
    /// Names of files whose making was interrupted.
    pub unfinished: Vec<String>,
}

/// Lists a log; empty when there is none.
pub fn list(storage: &dyn Storage) -> io::Result<Listing> {
    let names = match storage.list(DIRECTORY) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let mut listing = Listing::default();
    for name in names {
        match Segment::parse(&name) {
            Some(segment) => listing.segments.push(segment),
            None if name.ends_with(UNFINISHED) => listing.unfinished.push(name),
            None => {}
        }
    }
    listing.segments.sort_by_key(|segment| (segment.first_seq, segment.form == Form::Compressed));
    listing.segments.dedup_by_key(|segment| segment.first_seq);
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Privacy;
    use crate::storage::faulty::FaultyStorage;

    #[test]
    fn a_listing_has_each_segment_once_and_the_raw_one_stands() {
        let storage = FaultyStorage::new();
        for name in [
            "00000000000000000001.jsonl.zst",
            "00000000000000000009.jsonl",
            "00000000000000000009.jsonl.zst",
            "00000000000000000012.jsonl",
            "00000000000000000012.jsonl.zst.tmp",
            "12.jsonl",
            "lock",
        ] {
            storage.create(&format!("log/{name}"), Privacy::Group).unwrap();
        }
        let listing = list(&storage).unwrap();
        assert_eq!(listing.segments, [Segment::compressed(1), Segment::raw(9), Segment::raw(12)]);
        assert_eq!(listing.unfinished, ["00000000000000000012.jsonl.zst.tmp"]);
        assert_eq!(listing.segments[0].path(), "log/00000000000000000001.jsonl.zst");
    }
}
