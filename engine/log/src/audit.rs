//! Reads segments back in parallel and combines the findings.

use std::io::{self, Read};
use std::thread;

use engine_core::merkle::Span;
use engine_core::recovery::{Breach, Breaches, Erasures, SegmentAudit, survey};

use super::contents;
use super::log_scan::unreadable;
use super::segment::Segment;
use crate::storage::Storage;

/// Number of segments read at the same time. Chosen for a machine with few cores.
const AT_ONCE: usize = 2;

/// A segment to read.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The segment.
    pub segment: Segment,
    /// Offset at which to stop, in bytes. Set for the segment that is being written.
    pub end: Option<u64>,
}

/// Reads segments to their ends in parallel. During the read, calls `progress` with the number of bytes read.
pub fn audit(
    storage: &dyn Storage,
    tasks: &[Task],
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<io::Result<SegmentAudit>> {
    let mut surveys = Vec::new();
    for tasks in tasks.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let threads: Vec<_> =
                tasks.iter().map(|task| scope.spawn(|| audit_one(storage, *task, progress))).collect();
            surveys.extend(threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")))
            }));
        });
    }
    surveys
}

fn audit_one(storage: &dyn Storage, task: Task, progress: &(dyn Fn(u64) + Sync)) -> io::Result<SegmentAudit> {
    let surveyed = contents::whole(storage, task.segment, task.end).and_then(|lines| {
        let counting = Counting { reader: lines, progress };
        survey(io::BufReader::with_capacity(1 << 18, counting), |_| {})
    });
    match surveyed {
        Err(fault) => unreadable(fault).map(unread),
        surveyed => surveyed,
    }
}

/// Findings for a file that cannot be parsed.
fn unread(breach: Breach) -> SegmentAudit {
    SegmentAudit {
        header: None,
        seal: None,
        head: None,
        events: 0,
        len: 0,
        breaches: Breaches { kept: vec![breach], count: 1 },
        torn: None,
        leaves: Span::empty(0),
        erasures: Erasures::default(),
    }
}

struct Counting<'a, R> {
    reader: R,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        (self.progress)(read as u64);
        Ok(read)
    }
}
