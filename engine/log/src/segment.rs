//! The files of a log.

use std::io;

use engine_core::format::segment_file_name;

use crate::storage::Storage;

/// Directory of the log inside the data directory.
pub(crate) const DIRECTORY: &str = "log";
/// Suffix of unfinished files. They are never part of the log, and the next start removes them.
pub(super) const UNFINISHED: &str = ".tmp";
const COMPRESSED: &str = ".zst";

/// How a segment is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON Lines.
    Raw,
    /// The same lines in zstd frames, with an index.
    Compressed,
}

/// One file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Number of the first event after the header, even if it is not written yet.
    pub first_seq: u64,
    /// How it is stored.
    pub form: Form,
}

impl Segment {
    /// A raw segment.
    pub fn raw(first_seq: u64) -> Segment {
        Segment { first_seq, form: Form::Raw }
    }

    /// A compressed segment.
    pub fn compressed(first_seq: u64) -> Segment {
        Segment { first_seq, form: Form::Compressed }
    }

    /// File name without the directory.
    pub fn name(self) -> String {
        let name = segment_file_name(self.first_seq);
        match self.form {
            Form::Raw => name,
            Form::Compressed => name + COMPRESSED,
        }
    }

    /// Path relative to the data directory.
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

/// Contents of a log directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Segments in order, one per first event number. If a segment exists in both forms, its compression was
    /// interrupted, and the raw form is listed.
    pub segments: Vec<Segment>,
    /// Names of unfinished files.
    pub unfinished: Vec<String>,
}

/// Lists the files of a log. The listing is empty if no log exists.
///
/// # Errors
/// The directory cannot be listed.
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
    use crate::storage::FilePermissions;
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
            storage.create(&format!("log/{name}"), FilePermissions::Group).unwrap();
        }
        let listing = list(&storage).unwrap();
        assert_eq!(listing.segments, [Segment::compressed(1), Segment::raw(9), Segment::raw(12)]);
        assert_eq!(listing.unfinished, ["00000000000000000012.jsonl.zst.tmp"]);
        assert_eq!(listing.segments[0].path(), "log/00000000000000000001.jsonl.zst");
    }
}
