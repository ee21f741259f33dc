//! The Merkle tree over the log, kept in a file that can be built anew from the log at any time.
//!
//! Only what is durable is in it. It is written lazily: what a power cut takes from it, the next start computes again
//! from the lines behind the last local checkpoint.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::digest::Hash;
use engine_core::merkle::{self, Frontier, leaf, stored_count};

use super::segment::DIRECTORY;
use crate::storage::{Access, Privacy, Storage, StoredFile, ignore_missing};

/// Path in the data directory.
pub(crate) const PATH: &str = "log/tree";
const HASH_BYTES: u64 = 32;
/// Hashes that wait in memory before they are written: 128 KiB.
const PENDING_MAX: usize = 4096;

/// Shared between the writer, who extends it, and everybody who proves something.
#[derive(Debug)]
pub struct Tree(Mutex<State>);

#[derive(Debug)]
struct State {
    file: Option<Arc<dyn StoredFile>>,
    frontier: Frontier,
    /// Hashes in the file.
    written: u64,
    /// Those after them.
    pending: Vec<Hash>,
    /// A full volume is another thing than a broken one: the kind of the failure is kept.
    failed: Option<io::ErrorKind>,
}

/// The edge of a stored tree, to be continued.
#[derive(Debug)]
pub(super) struct Stored {
    file: Arc<dyn StoredFile>,
    pub(super) frontier: Frontier,
}

impl Stored {
    /// Reads the edge of a tree of this size. `NotFound` or `UnexpectedEof` when it is not there.
    pub(super) fn load(storage: &dyn Storage, size: u64) -> io::Result<Stored> {
        let file = storage.open(PATH, Access::Write)?;
        let frontier = Frontier::load(size, |position| read_hash(&*file, position))?;
        Ok(Stored { file, frontier })
    }

    /// A tree of nothing, its file made if need be.
    pub(super) fn empty(storage: &dyn Storage) -> io::Result<Stored> {
        let file = match storage.open(PATH, Access::Write) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let file = storage.create(PATH, Privacy::Group)?;
                storage.sync_directory(DIRECTORY)?;
                file
            }
            opened => opened?,
        };
        Ok(Stored { file, frontier: Frontier::empty() })
    }
}

impl Tree {
    pub fn new() -> Tree {
        let frontier = Frontier::empty();
        Tree(Mutex::new(State { file: None, frontier, written: 0, pending: Vec::new(), failed: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on from a stored tree: whatever is in its file behind that is of another life.
    pub(super) fn resume(&self, stored: Stored) -> io::Result<()> {
        let Stored { file, frontier } = stored;
        let written = stored_count(frontier.size());
        if file.size()? > written * HASH_BYTES {
            file.truncate(written * HASH_BYTES)?;
        }
        *self.state() = State { file: Some(file), frontier, written, pending: Vec::new(), failed: None };
        Ok(())
    }

    /// Adds durable events. A failure is kept for [`Tree::failed`]: the events are durable all the same.
    pub(super) fn extend(&self, events: impl IntoIterator<Item = Hash>) {
        let mut state = self.state();
        let state = &mut *state;
        for event in events {
            state.frontier.push(leaf(&event), &mut state.pending);
            if state.pending.len() >= PENDING_MAX {
                state.flush();
            }
        }
    }

    /// Why the file has to be opened anew, when it has: a write or sync of it failed.
    pub(super) fn failed(&self) -> Option<io::Error> {
        self.state().failed.map(io::Error::from)
    }

    /// It does not fit the log: its file goes, and the writer builds another from the lines.
    pub fn distrust(&self, storage: &dyn Storage) {
        let removed = ignore_missing(storage.remove(PATH));
        tracing::error!(?removed, "the stored tree does not fit the log: it is built anew");
        self.state().failed = Some(io::ErrorKind::InvalidData);
    }

    /// Events in the tree.
    pub fn size(&self) -> u64 {
        self.state().frontier.size()
    }

    /// Root of the tree of all events.
    pub fn head(&self) -> (u64, Hash) {
        let state = self.state();
        (state.frontier.size(), state.frontier.root())
    }

    /// Makes everything so far durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        let file = {
            let mut state = self.state();
            state.flush();
            if let Some(kind) = state.failed {
                return Err(kind.into());
            }
            state.file.clone()
        };
        let synced = file.map_or(Ok(()), |file| file.sync());
        if let Err(fault) = &synced {
            self.state().failed = Some(fault.kind());
        }
        synced
    }

    /// Root of the tree of the first `size` events.
    pub fn root_at(&self, size: u64) -> io::Result<Hash> {
        merkle::root_at(size, |position| self.read(position))
    }

    /// Proof that the event after `index` others is in the tree of the first `size` events.
    pub fn inclusion(&self, index: u64, size: u64) -> io::Result<Option<Vec<Hash>>> {
        merkle::inclusion_proof(index, size, |position| self.read(position))
    }

    /// Proof that the tree of the first `new` events begins with that of the first `old`.
    pub fn consistency(&self, old: u64, new: u64) -> io::Result<Option<Vec<Hash>>> {
        merkle::consistency_proof(old, new, |position| self.read(position))
    }

    fn read(&self, position: u64) -> io::Result<Hash> {
        let file = {
            let state = self.state();
            if let Some(pending) = position.checked_sub(state.written) {
                let place = usize::try_from(pending).map_err(io::Error::other)?;
                let hash = state.pending.get(place);
                return hash.copied().ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
            }
            state.file.clone().ok_or(io::ErrorKind::NotFound)?
        };
        read_hash(&*file, position)
    }
}

impl State {
    fn flush(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.failed.is_none()) else { return };
        let bytes: Vec<u8> = self.pending.iter().flat_map(|hash| hash.0).collect();
        match file.write_at(&bytes, self.written * HASH_BYTES) {
            Ok(()) => {
                self.written += self.pending.len() as u64;
                self.pending.clear();
            }
            Err(fault) => {
                tracing::error!(%fault, "writing the tree failed: it will be opened anew");
                self.failed = Some(fault.kind());
            }
        }
    }
}

pub(super) fn read_hash(file: &dyn StoredFile, position: u64) -> io::Result<Hash> {
    let mut hash = Hash::ZERO;
    file.read_exact_at(&mut hash.0, position * HASH_BYTES)?;
    Ok(hash)
}
