//! The segment that is being written.

use std::io;
use std::sync::Arc;

use engine_core::digest::Hash;
use engine_core::format::{Header, Seal};
use engine_core::recovery::{Link, SegmentEnd};
use jiff::Timestamp;

use super::segment::{DIRECTORY, Segment};
use crate::storage::{Access, FailPoint, Privacy, Storage, StoredFile};

/// An open segment at the end of the log. Everything it says is durable.
#[derive(Debug)]
pub(super) struct Active {
    file: Arc<dyn StoredFile>,
    pub(super) header: Header,
    /// Bytes.
    pub(super) len: u64,
    /// The last line.
    pub(super) link: Link,
}

/// Where a log ended: everything that was ever acknowledged by this process, and a seal behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Durable {
    /// Of the segment.
    pub first_seq: u64,
    /// Bytes of it.
    pub len: u64,
    pub link: Link,
}

impl Active {
    /// Takes a segment that was read and verified up to this end, which is the end of the file.
    pub(super) fn resume(storage: &dyn Storage, header: Header, len: u64, link: Link) -> io::Result<Active> {
        let path = Segment::raw(header.prev_seq + 1).path();
        let file = storage.open(&path, Access::Write)?;
        // A killed process leaves whole lines that no sync has covered yet, and names as well.
        file.sync()?;
        storage.sync_directory(DIRECTORY)?;
        Ok(Active { file, header, len, link })
    }

    /// Makes a segment, in an order in which a crash anywhere leaves either no segment or one without a whole header.
    pub(super) fn create(storage: &dyn Storage, header: Header) -> io::Result<Active> {
        let path = Segment::raw(header.prev_seq + 1).path();
        let file = match storage.create(&path, Privacy::Group) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
                storage.open(&path, Access::Write)?
            }
            created => created?,
        };
        // One that was there has no whole header: its bytes were looked at, and set aside.
        if file.size()? > 0 {
            file.truncate(0)?;
        }
        storage.reached(FailPoint::SegmentCreated)?;
        let (line, hash) = header.encode();
        file.write_at(&line, 0)?;
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

    /// Whether there is anything but the header.
    pub(super) fn has_events(&self) -> bool {
        self.link.seq > self.header.prev_seq
    }

    /// Writes lines behind the last one and makes them durable: the commit. `end` is the chain's end with them.
    pub(super) fn append(&mut self, storage: &dyn Storage, lines: &[u8], end: Link) -> io::Result<()> {
        self.file.write_at(lines, self.len)?;
        storage.reached(FailPoint::GroupWritten)?;
        self.file.sync()?; // COMMIT POINT: before this line nothing happened, after it everything did.
        self.len += lines.len() as u64;
        self.link = end;
        storage.reached(FailPoint::GroupDurable)
    }

    /// Writes the last line and makes it durable; answers what the next header follows from.
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
        self.file.write_at(&line, self.len)?;
        self.file.sync()?;
        self.len += line.len() as u64;
        Ok(SegmentEnd::new(&self.header, &seal, hash))
    }
}
