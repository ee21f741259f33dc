//! The segment at the end of the log, to which the writer appends.

use std::io;
use std::sync::Arc;

use engine_core::digest::Hash;
use engine_core::format::{Header, Seal};
use engine_core::recovery::{Link, SegmentEnd};
use jiff::Timestamp;

use super::segment::{DIRECTORY, Segment};
use crate::storage::{Access, FailPoint, FilePermissions, Storage, StoredFile};

/// The open segment at the end of the log. All of its fields describe durable state.
#[derive(Debug)]
pub(super) struct Active {
    file: Arc<dyn StoredFile>,
    pub(super) header: Header,
    /// Durable length in bytes.
    pub(super) len: u64,
    /// The last line of the segment.
    pub(super) link: Link,
}

/// The durable end of the log: everything this process has acknowledged, plus a seal if one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Durable {
    /// First event number of the last segment.
    pub first_seq: u64,
    /// Durable bytes of that segment.
    pub len: u64,
    pub link: Link,
}

impl Active {
    /// Opens a segment that was read and verified up to this end. The end must be the end of the file.
    pub(super) fn resume(storage: &dyn Storage, header: Header, len: u64, link: Link) -> io::Result<Active> {
        let path = Segment::raw(header.prev_seq + 1).path();
        let file = storage.open(&path, Access::Write)?;
        // A killed process can leave complete lines, and file names, that no sync has covered yet.
        file.sync()?;
        storage.sync_directory(DIRECTORY)?;
        Ok(Active { file, header, len, link })
    }

    /// Creates a segment. A crash at any point leaves either no segment or one without a complete header.
    pub(super) fn create(storage: &dyn Storage, header: Header) -> io::Result<Active> {
        let (line, hash) = header.encode();
        Active::begin(storage, header, &line, hash)
    }

    /// Creates a segment as [`Active::create`] does, with this line as its header.
    pub(super) fn begin(
        storage: &dyn Storage,
        header: Header,
        line: &[u8],
        hash: Hash,
    ) -> io::Result<Active> {
        let path = Segment::raw(header.prev_seq + 1).path();
        let file = match storage.create(&path, FilePermissions::Group) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
                storage.open(&path, Access::Write)?
            }
            created => created?,
        };
        // An existing file has no complete header here. Its bytes were already inspected and set aside.
        if file.size()? > 0 {
            file.truncate(0)?;
        }
        storage.reached(FailPoint::SegmentCreated)?;
        file.write_at(line, 0)?;
        file.sync()?;
        storage.reached(FailPoint::HeaderDurable)?;
        storage.sync_directory(DIRECTORY)?;
        storage.reached(FailPoint::SegmentNamed)?;
        let link = Link::after_header(&header, hash);
        Ok(Active { file, header, len: line.len() as u64, link })
    }

    pub(super) fn first_seq(&self) -> u64 {
        self.header.prev_seq + 1
    }

    pub(super) fn durable(&self) -> Durable {
        Durable { first_seq: self.first_seq(), len: self.len, link: self.link }
    }

    /// Whether the segment contains events after its header.
    pub(super) fn has_events(&self) -> bool {
        self.link.seq > self.header.prev_seq
    }

    /// Commits lines: appends them to the segment and syncs it. `end` is the end of the chain after them.
    pub(super) fn append(&mut self, storage: &dyn Storage, lines: &[u8], end: Link) -> io::Result<()> {
        self.file.write_at(lines, self.len)?;
        storage.reached(FailPoint::GroupWritten)?;
        self.file.sync()?; // COMMIT POINT: before this line nothing happened, after it everything did.
        self.len += lines.len() as u64;
        self.link = end;
        storage.reached(FailPoint::GroupDurable)
    }

    /// Writes the seal as the last line and syncs it. Returns the link that the next header must follow.
    pub(super) fn seal(&mut self, root: Hash, now: Timestamp) -> io::Result<SegmentEnd> {
        let seal = Seal {
            segment: self.header.segment,
            log_id: self.header.log_id.clone(),
            events: self.link.seq - self.header.prev_seq,
            last_seq: self.link.seq,
            prev: self.link.hash,
            root,
            sealed: now,
        };
        let (line, hash) = seal.encode();
        self.append_seal(&line)?;
        Ok(SegmentEnd::new(&self.header, &seal, hash))
    }

    /// Writes this line as the last one and syncs it.
    pub(super) fn append_seal(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_at(line, self.len)?;
        self.file.sync()?;
        self.len += line.len() as u64;
        Ok(())
    }
}
