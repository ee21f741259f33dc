//! The catalogs of all projects that are searched: made when they are first asked for, kept up with the projection by
//! the searches themselves, dropped when memory runs short.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::external_vectors_load;
use super::model::Model;
use super::recent::{PROJECTS_MAX, Recent};
use super::shared_catalog::{Extent, Kind, Of, Progress, SharedCatalog, State};
use crate::embeddings::{Answering, Embeddings, VectorStore};
use engine_projection::applied_seq;

/// How long a search itself adds memories to a catalog: some ten thousand of them. More are added by a thread, and
/// searches go without the catalog meanwhile.
const INLINE_TIME_MAX: Duration = Duration::from_millis(250);
/// Memories that are added between two looks at the clock: each may be long.
const INLINE_STEP: usize = 8;
/// Memories whose vectors a search itself makes anew, and tokens of theirs: some ten milliseconds.
const WEIGH_INLINE_MAX: usize = 1_024;
const WEIGH_INLINE_TOKENS_MAX: usize = 64 << 10;
/// Vectors of an outside model that a search itself takes over: some ten milliseconds.
const OUTSIDE_INLINE_MAX: usize = 1_024;

/// CatalogCache by project and kind.
#[derive(Debug)]
pub struct CatalogCache {
    model: Model,
    embeddings: Option<Arc<Embeddings>>,
    /// All of them together, bytes.
    pub(super) bytes_max: usize,
    pub(super) shelf: Mutex<Shelf>,
    /// Which project was searched when; 0 is never.
    clock: AtomicU64,
    pub(super) recent: Recent,
    requests: Mutex<Option<SyncSender<Of>>>,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
    pub(super) stopping: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Of which projection they were made.
    path: Option<String>,
    pub(super) catalogs: HashMap<Of, Arc<SharedCatalog>>,
}

/// Why a project's catalog cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is being made.
    Loading,
    /// There is no room for it.
    TooLarge,
}

impl CatalogCache {
    /// The cache before its thread runs: the sender asks the thread for catalogs, which it makes until it is stopped.
    pub(super) fn new(
        (model, embeddings): (Model, Option<Arc<Embeddings>>),
        bytes_max: usize,
        data: &Path,
        requests: SyncSender<Of>,
    ) -> CatalogCache {
        CatalogCache {
            model,
            embeddings,
            bytes_max,
            shelf: Mutex::default(),
            clock: AtomicU64::new(1),
            recent: Recent::below(data),
            requests: Mutex::new(Some(requests)),
            thread: Mutex::new(None),
            stopping: Arc::default(),
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the catalogs had panicked");
        }
        // The next start is slower without it, and nothing else.
        let (searched, empty) = self.searched();
        if let Err(fault) = self.recent.put_first(searched, &empty) {
            tracing::warn!(%fault, "which projects were searched last is not kept");
        }
    }

    /// Projects that were searched and are still held, the last one first; and those held that have no memory.
    fn searched(&self) -> (Vec<String>, Vec<String>) {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let of_memories = shelf.catalogs.iter().filter(|(of, _)| of.kind == Kind::Memories);
        let held: Vec<(String, Arc<SharedCatalog>)> =
            of_memories.map(|(of, held)| (of.project.clone(), Arc::clone(held))).collect();
        // Nobody waits for a catalog with the shelf in his hands.
        drop(shelf);
        let (empty, held): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|(_, held)| held.read().catalog.count() == 0);
        let used = held.into_iter().map(|(project, held)| (held.used.load(Ordering::Relaxed), project));
        let mut used: Vec<(u64, String)> = used.filter(|(used, _)| *used > 0).collect();
        used.sort_unstable_by(|a, b| b.cmp(a));
        let searched = used.into_iter().map(|(_, name)| name).take(PROJECTS_MAX).collect();
        (searched, empty.into_iter().map(|(project, _)| project).collect())
    }

    /// Whether the thread lives.
    pub fn is_alive(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub fn model(&self) -> Model {
        self.model
    }

    /// The outside model whose vectors answer, and where they are kept.
    pub(super) fn answering(&self) -> Option<(Answering, Arc<VectorStore>)> {
        self.embeddings.as_ref()?.answering()
    }

    /// The catalog as of the moment the connection reads.
    pub(super) fn current(
        &self,
        connection: &Connection,
        of: &Of,
    ) -> rusqlite::Result<Result<Arc<SharedCatalog>, Missing>> {
        let held = self.held(connection, of);
        held.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let applied = applied_seq(connection)?;
        // The thread holds it nearly all the time while it adds: who waited would wait until the end.
        if held.asked.load(Ordering::Acquire) && !held.is_current(applied) {
            return Ok(Err(Missing::Loading));
        }
        if held.read().ended_through >= applied {
            self.take_over(&held, of);
            return Ok(Ok(held));
        }
        if held.asked.load(Ordering::Acquire) {
            return Ok(Err(Missing::Loading));
        }
        let mut state = held.write();
        let (started, mut progress) = (Instant::now(), Progress::More);
        // What takes longer than a search may wait for is left to the thread.
        while progress == Progress::More && started.elapsed() < INLINE_TIME_MAX {
            progress = state.catch_up(connection, of, INLINE_STEP, self.bytes_max)?;
        }
        if state.extent == Extent::Nothing {
            return Ok(Err(Missing::TooLarge));
        }
        if progress == Progress::TooLarge {
            self.lessen(&mut state, of);
        }
        let whole = progress == Progress::Whole;
        let outgrown = state.catalog.vectors.is_outgrown();
        let large =
            state.catalog.len() > WEIGH_INLINE_MAX || state.catalog.tokens() > WEIGH_INLINE_TOKENS_MAX;
        if outgrown && !large {
            state.weigh_anew(connection, of)?;
        }
        let large = outgrown && large;
        drop(state);
        if !whole || large {
            self.ask_for(&held.asked, of);
        }
        if whole {
            self.take_over(&held, of);
        }
        Ok(if whole { Ok(held) } else { Err(Missing::Loading) })
    }

    /// Drops all of them.
    pub fn clear(&self) {
        *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = Shelf::default();
    }

    /// Takes over what vectors an outside model has made since, when they are few. What cannot be read is not there.
    fn take_over(&self, held: &SharedCatalog, of: &Of) {
        // A model outside is given memories alone.
        let (Kind::Memories, Some((answering, store))) = (of.kind, self.answering()) else { return };
        let is_current = |state: &State| {
            state.catalog.outside.as_ref().is_none_or(|outside| outside.is_current(&answering))
        };
        if is_current(&held.read()) || held.asked_for_vectors.load(Ordering::Acquire) {
            return;
        }
        let more = external_vectors_load::load(
            &mut held.write().catalog,
            &of.project,
            (&answering, &store),
            OUTSIDE_INLINE_MAX,
        );
        match more {
            Ok(true) => self.ask_for(&held.asked_for_vectors, of),
            Ok(false) => {}
            Err(fault) => tracing::warn!(%fault, "the file of vectors cannot be read"),
        }
    }

    fn ask_for(&self, asked: &AtomicBool, of: &Of) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = requests.as_ref()
            && !asked.swap(true, Ordering::AcqRel)
            && requests.try_send(of.clone()).is_err()
        {
            asked.store(false, Ordering::Release);
        }
    }

    pub(super) fn held(&self, connection: &Connection, of: &Of) -> Arc<SharedCatalog> {
        let path = connection.path().map(str::to_owned);
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        // Another projection may hold other rows, if the one before was wrong.
        if shelf.path != path {
            *shelf = Shelf { path, catalogs: HashMap::new() };
        }
        if let Some(held) = shelf.catalogs.get(of) {
            return Arc::clone(held);
        }
        let held =
            Arc::new(SharedCatalog::new(self.model, self.embeddings.is_some() && of.kind == Kind::Memories));
        shelf.catalogs.insert(of.clone(), Arc::clone(&held));
        drop(shelf);
        self.make_room(Some(of));
        held
    }

    /// Begins a catalog anew with less of each memory, and says so.
    pub(super) fn lessen(&self, state: &mut State, of: &Of) {
        let memories = state.catalog.len();
        state.lessen(self.model);
        let extent = state.extent;
        tracing::warn!(
            project = of.project,
            kind = ?of.kind,
            memories,
            ?extent,
            room_bytes = self.bytes_max,
            "a project has outgrown the memory for searching: give the engine more, or split the project"
        );
    }

    /// Drops what was not used for longest, until what is left fits; never the one for whose sake it is done.
    pub(super) fn make_room(&self, kept: Option<&Of>) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sizes: Vec<(u64, usize, Of)> = shelf
            .catalogs
            .iter()
            .map(|(of, held)| (held.used.load(Ordering::Relaxed), held.bytes(), of.clone()))
            .collect();
        sizes.sort_unstable();
        let mut total: usize = sizes.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, of) in sizes {
            if total <= self.bytes_max {
                return;
            }
            if kept == Some(&of) {
                continue;
            }
            total -= bytes;
            shelf.catalogs.remove(&of);
        }
    }

    /// Memories that have a vector, and bytes of all catalogs, those of items too.
    pub fn size(&self) -> (usize, usize) {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.catalogs.iter().fold((0, 0), |(count, bytes), (of, held)| {
            let vectors = if of.kind == Kind::Memories { held.vectors() } else { 0 };
            (count + vectors, bytes + held.bytes())
        })
    }
}
