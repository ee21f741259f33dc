//! The Merkle tree over the log. Its file can be rebuilt from the log at any time.
//!
//! The tree contains only durable events. Its file is written lazily: after a power cut, the next start recomputes the
//! lost hashes from the lines after the last local checkpoint.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::digest::Hash;
use engine_core::merkle::{self, Frontier, leaf, stored_count};

use super::segment::DIRECTORY;
use crate::storage::{Access, FilePermissions, Storage, StoredFile, ignore_missing};

/// Path in the data directory.
pub(crate) const PATH: &str = "log/tree";
const HASH_BYTES: u64 = 32;
/// Hashes buffered in memory before they are written: 128 KiB.
const PENDING_MAX: usize = 4096;

/// The tree. The writer extends it; all threads read proofs from it.
#[derive(Debug)]
pub struct Tree(Mutex<State>);

#[derive(Debug)]
struct State {
    file: Option<Arc<dyn StoredFile>>,
    frontier: Frontier,
    /// Number of hashes in the file.
    written: u64,
    /// The hashes that follow the hashes in the file and are not written yet.
    pending: Vec<Hash>,
    /// Kind of the last failure, to distinguish a full volume from a broken one.
    failed: Option<io::ErrorKind>,
}

/// The frontier of a stored tree, from which it is extended.
#[derive(Debug)]
pub(super) struct Stored {
    file: Arc<dyn StoredFile>,
    pub(super) frontier: Frontier,
}

impl Stored {
    /// Reads the frontier of the stored tree of the first `size` events. Returns `NotFound` or `UnexpectedEof` if the
    /// file does not contain that tree.
    pub(super) fn load(storage: &dyn Storage, size: u64) -> io::Result<Stored> {
        let file = storage.open(PATH, Access::Write)?;
        let frontier = Frontier::load(size, |position| read_hash(&*file, position))?;
        Ok(Stored { file, frontier })
    }

    /// An empty tree. Creates its file if needed.
    pub(super) fn empty(storage: &dyn Storage) -> io::Result<Stored> {
        let file = match storage.open(PATH, Access::Write) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let file = storage.create(PATH, FilePermissions::Group)?;
                storage.sync_directory(DIRECTORY)?;
                file
            }
            opened => opened?,
        };
        Ok(Stored { file, frontier: Frontier::empty() })
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}

impl Tree {
    /// An empty tree without a file.
    pub fn new() -> Tree {
        let frontier = Frontier::empty();
        Tree(Mutex::new(State { file: None, frontier, written: 0, pending: Vec::new(), failed: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics half-way through a change while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Continues the tree `stored`. The file is truncated after this tree, because later contents are stale.
    pub(super) fn resume(&self, stored: Stored) -> io::Result<()> {
        let Stored { file, frontier } = stored;
        let written = stored_count(frontier.size());
        if file.size()? > written * HASH_BYTES {
            file.truncate(written * HASH_BYTES)?;
        }
        *self.state() = State { file: Some(file), frontier, written, pending: Vec::new(), failed: None };
        Ok(())
    }

    /// Adds durable events. A write failure is not returned, because the events are durable nevertheless;
    /// [`Tree::failed`] reports it.
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

    /// The failed write or sync after which the file must be reopened, if any.
    pub(super) fn failed(&self) -> Option<io::Error> {
        self.state().failed.map(io::Error::from)
    }

    /// Discards the file because it does not match the log. The writer rebuilds the file from the lines of the log.
    pub fn distrust(&self, storage: &dyn Storage) {
        let removed = ignore_missing(storage.remove(PATH));
        tracing::error!(?removed, "the stored tree does not match the log: it is rebuilt");
        self.state().failed = Some(io::ErrorKind::InvalidData);
    }

    /// Number of events in the tree.
    pub fn size(&self) -> u64 {
        self.state().frontier.size()
    }

    /// The right edge of the tree, which can be extended without changing the tree.
    pub(super) fn frontier(&self) -> Frontier {
        self.state().frontier.clone()
    }

    /// Size and root of the tree of all events.
    pub fn head(&self) -> (u64, Hash) {
        let state = self.state();
        (state.frontier.size(), state.frontier.root())
    }

    /// Makes all hashes of the tree durable.
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
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn root_at(&self, size: u64) -> io::Result<Hash> {
        merkle::root_at(size, |position| self.read(position))
    }

    /// Proof that the event at position `index`, from 0, is in the tree of the first `size` events. `None` if the event
    /// is not in that tree.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn inclusion(&self, index: u64, size: u64) -> io::Result<Option<Vec<Hash>>> {
        merkle::inclusion_proof(index, size, |position| self.read(position))
    }

    /// Proof that the tree of the first `new` events extends the tree of the first `old` events.
    ///
    /// # Errors
    /// The file cannot be read.
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
                tracing::error!(%fault, "writing the tree failed: it will be reopened");
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
