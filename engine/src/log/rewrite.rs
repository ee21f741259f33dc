//! Segments written anew without payloads that are to be forgotten.
//!
//! The event that says so is durable before the first payload goes. Each segment is replaced whole; a crash leaves it as it
//! was or as it is to be, and doing it again finishes what was begun.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};

use engine_core::format::{EventLine, forget};
use engine_core::recovery::{Survey, survey};

use super::compressed::{Frames, compress};
use super::contents::{self, Contents};
use super::segment::{DIRECTORY, Form, Segment, UNFINISHED};
use crate::storage::{Access, FailPoint, Privacy, Reading, Storage, StoredFile, ignore_missing};

/// Written in pieces of this size.
const COPY_BYTES: usize = 1 << 20;

/// Which of these events are in a segment, with their payload or without, and what kind they are.
pub(super) fn find(
    storage: &dyn Storage,
    segment: Segment,
    targets: &BTreeSet<String>,
) -> io::Result<Vec<(String, String)>> {
    let (mut lines, mut line, mut found) = (contents::whole(storage, segment, None)?, Vec::new(), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        if let Ok(event) = EventLine::decode(line.strip_suffix(b"\n").unwrap_or(&line))
            && targets.contains(event.envelope.id.as_ref())
        {
            found.push((event.envelope.id.into_owned(), event.envelope.kind.into_owned()));
        }
        line.clear();
    }
    Ok(found)
}

/// Puts a segment without the payloads of these events in the place of the one with them; `by` is the event that says
/// so.
pub(super) fn rewrite(
    storage: &dyn Storage,
    segment: Segment,
    targets: &BTreeSet<String>,
    by: &str,
) -> io::Result<()> {
    let unfinished = segment.path() + UNFINISHED;
    ignore_missing(storage.remove(&unfinished))?;
    let file = storage.create(&unfinished, Privacy::Group)?;
    let lines = contents::whole(storage, segment, None)?;
    let forgetting =
        Forgetting { lines, ready: io::Cursor::new(Vec::new()), targets: targets.clone(), by: by.into() };
    let forgetting: Box<dyn Read + Send> = Box::new(forgetting);
    match segment.form {
        Form::Compressed => {
            compress(BufReader::with_capacity(1 << 18, forgetting), segment.first_seq, &*file)?;
        }
        Form::Raw => copy(forgetting, &*file)?,
    }
    file.sync()?;
    storage.reached(FailPoint::RewriteWritten)?;
    check(storage, segment, &unfinished)?;
    storage.rename(&unfinished, &segment.path())?;
    if segment.form == Form::Raw {
        // What is left of a compression that was interrupted has the payloads as well.
        ignore_missing(storage.remove(&Segment::compressed(segment.first_seq).path()))?;
    }
    storage.sync_directory(DIRECTORY)?;
    storage.reached(FailPoint::RewriteNamed)
}

fn copy(mut from: impl Read, to: &dyn StoredFile) -> io::Result<()> {
    let (mut piece, mut offset) = (Vec::with_capacity(COPY_BYTES), 0);
    loop {
        piece.clear();
        if from.by_ref().take(COPY_BYTES as u64).read_to_end(&mut piece)? == 0 {
            return Ok(());
        }
        to.write_at(&piece, offset)?;
        offset += piece.len() as u64;
    }
}

/// Reads the new segment back: the same events in the same chain, and nothing wrong.
fn check(storage: &dyn Storage, segment: Segment, unfinished: &str) -> io::Result<()> {
    let file = storage.open(unfinished, Access::Read)?;
    let new: Box<dyn Read + Send> = match segment.form {
        Form::Raw => Box::new(Reading::new(file, 0, u64::MAX)),
        Form::Compressed => Box::new(Frames::open(file)?.reading(0)),
    };
    let new = survey(BufReader::with_capacity(1 << 18, new), |_| {})?;
    let old = survey(contents::whole(storage, segment, None)?, |_| {})?;
    let chain = |survey: &Survey| {
        let Survey { header, seal, head, events, breaches, torn, leaves, .. } = survey.clone();
        (header, seal, head, events, breaches.count, torn.is_some_and(|torn| torn.bytes > 0), leaves)
    };
    match chain(&new) == chain(&old) && new.breaches.count == 0 {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "the segment written anew does not verify")),
    }
}

/// The lines of a segment, some of them without their payload.
struct Forgetting {
    lines: Contents,
    ready: io::Cursor<Vec<u8>>,
    targets: BTreeSet<String>,
    by: String,
}

impl Forgetting {
    /// Reads the next line; an empty one at the end.
    fn next_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.lines.read_until(b'\n', &mut line)?;
        let Some(stored) = line.strip_suffix(b"\n") else { return Ok(line) };
        match EventLine::decode(stored) {
            Ok(event) if self.targets.contains(event.envelope.id.as_ref()) => {
                let forgotten = forget(stored, &self.by);
                let mut forgotten =
                    forgotten.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
                forgotten.push(b'\n');
                Ok(forgotten)
            }
            _ => Ok(line),
        }
    }
}

impl Read for Forgetting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.ready.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        self.ready = io::Cursor::new(self.next_line()?);
        self.ready.read(buffer)
    }
}
