//! The catalogs of all searched projects. A catalog is built on first use, updated from the projection by searches, and
//! evicted when the memory limit is reached.

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
use super::recent::{PROJECTS_MAX, RecentProjects};
use super::shared_catalog::{CatalogKey, Extent, Kind, Progress, SharedCatalog, State};
use crate::embeddings::{ActiveModel, Embeddings, VectorStore};
use engine_projection::applied_seq;

/// How long a search may spend on updating a catalog: enough for about ten thousand memories. After that the background
/// thread continues, and searches run without the catalog until it is ready.
const INLINE_TIME_MAX: Duration = Duration::from_millis(250);
/// Number of memories added between two checks of the clock. It is small because a single memory may be long.
const INLINE_STEP: usize = 8;
/// Largest catalog, in memories and in tokens, for which a search itself recomputes the vectors. This takes about ten
/// milliseconds.
const REWEIGHT_INLINE_MAX: usize = 1_024;
const REWEIGHT_INLINE_TOKENS_MAX: usize = 64 << 10;
/// Maximum number of vectors of an external model that a search itself copies. This takes about ten milliseconds.
const EXTERNAL_INLINE_MAX: usize = 1_024;

/// Catalogs by project and kind.
#[derive(Debug)]
pub struct CatalogCache {
    model: Model,
    embeddings: Option<Arc<Embeddings>>,
    /// Memory limit of all catalogs together, bytes.
    pub(super) bytes_max: usize,
    pub(super) cached: Mutex<CachedCatalogs>,
    /// Logical clock, advanced by searches. The value 0 in `used` means never.
    clock: AtomicU64,
    pub(super) recent: RecentProjects,
    requests: Mutex<Option<SyncSender<CatalogKey>>>,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
    pub(super) stopping: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
pub(super) struct CachedCatalogs {
    /// Path of the projection that the catalogs were built from.
    path: Option<String>,
    pub(super) catalogs: HashMap<CatalogKey, Arc<SharedCatalog>>,
}

/// Why the catalog of a project cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The background thread is building the catalog.
    Loading,
    /// The catalog exceeds the memory limit.
    TooLarge,
}

impl CatalogCache {
    /// A cache whose background thread is not started yet. Catalogs to build are sent to the thread through `requests`.
    pub(super) fn new(
        (model, embeddings): (Model, Option<Arc<Embeddings>>),
        bytes_max: usize,
        data: &Path,
        requests: SyncSender<CatalogKey>,
    ) -> CatalogCache {
        CatalogCache {
            model,
            embeddings,
            bytes_max,
            cached: Mutex::default(),
            clock: AtomicU64::new(1),
            recent: RecentProjects::below(data),
            requests: Mutex::new(Some(requests)),
            thread: Mutex::new(None),
            stopping: Arc::default(),
        }
    }

    /// Stops the background thread and saves the list of recent projects.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that builds catalogs panicked");
        }
        // A missing list only makes the next start slower.
        let (searched, empty) = self.searched();
        if let Err(fault) = self.recent.put_first(searched, &empty) {
            tracing::warn!(%fault, "the list of recently searched projects could not be saved; the next start loads catalogs later");
        }
    }

    /// Two lists: projects that were searched and whose catalogs are loaded, most recent first; and projects with a
    /// loaded catalog but without memories.
    fn searched(&self) -> (Vec<String>, Vec<String>) {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let of_memories = cached.catalogs.iter().filter(|(of, _)| of.kind == Kind::Memories);
        let held: Vec<(String, Arc<SharedCatalog>)> =
            of_memories.map(|(of, held)| (of.project.clone(), Arc::clone(held))).collect();
        // Release the map before waiting for the lock of a catalog.
        drop(cached);
        let (empty, held): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|(_, held)| held.read().catalog.count() == 0);
        let used = held.into_iter().map(|(project, held)| (held.used.load(Ordering::Relaxed), project));
        let mut used: Vec<(u64, String)> = used.filter(|(used, _)| *used > 0).collect();
        used.sort_unstable_by(|a, b| b.cmp(a));
        let searched = used.into_iter().map(|(_, name)| name).take(PROJECTS_MAX).collect();
        (searched, empty.into_iter().map(|(project, _)| project).collect())
    }

    /// Whether the background thread is running.
    pub fn is_alive(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub fn model(&self) -> Model {
        self.model
    }

    /// The external model whose vectors searches use, and the store of these vectors.
    pub(super) fn answering(&self) -> Option<(ActiveModel, Arc<VectorStore>)> {
        self.embeddings.as_ref()?.answering()
    }

    /// The catalog of a project, brought up to date with the snapshot that the connection reads.
    pub(super) fn current(
        &self,
        connection: &Connection,
        of: &CatalogKey,
    ) -> rusqlite::Result<Result<Arc<SharedCatalog>, Missing>> {
        let held = self.held(connection, of);
        held.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let applied = applied_seq(connection)?;
        // The thread holds the lock most of the time while it adds memories, so waiting for the lock would take until
        // it has added all of them.
        if held.asked.load(Ordering::Acquire) && !held.is_current(applied) {
            return Ok(Err(Missing::Loading));
        }
        if held.read().ended_through >= applied {
            self.load_external_vectors(&held, of);
            return Ok(Ok(held));
        }
        if held.asked.load(Ordering::Acquire) {
            return Ok(Err(Missing::Loading));
        }
        let mut state = held.write();
        let (started, mut progress) = (Instant::now(), Progress::More);
        // If the update takes longer than a search may wait, the thread continues it.
        while progress == Progress::More && started.elapsed() < INLINE_TIME_MAX {
            progress = state.catch_up(connection, of, INLINE_STEP, self.bytes_max)?;
        }
        if state.extent == Extent::Nothing {
            return Ok(Err(Missing::TooLarge));
        }
        if progress == Progress::TooLarge {
            self.reduce_contents(&mut state, of);
        }
        let whole = progress == Progress::Whole;
        let outgrown = state.catalog.vectors.is_outgrown();
        let large =
            state.catalog.len() > REWEIGHT_INLINE_MAX || state.catalog.tokens() > REWEIGHT_INLINE_TOKENS_MAX;
        if outgrown && !large {
            state.reweight(connection, of)?;
        }
        let large = outgrown && large;
        drop(state);
        if !whole || large {
            self.ask_for(&held.asked, of);
        }
        if whole {
            self.load_external_vectors(&held, of);
        }
        Ok(if whole { Ok(held) } else { Err(Missing::Loading) })
    }

    /// Drops all catalogs.
    pub fn clear(&self) {
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = CachedCatalogs::default();
    }

    /// Copies new vectors of the external model into the catalog if they are few; otherwise requests the background
    /// thread to copy them. If the vector file cannot be read, the search uses the vectors that were copied before.
    fn load_external_vectors(&self, held: &SharedCatalog, of: &CatalogKey) {
        // The external model embeds memories only.
        let (Kind::Memories, Some((answering, store))) = (of.kind, self.answering()) else { return };
        let is_current = |state: &State| {
            state.catalog.external.as_ref().is_none_or(|external| external.is_current(&answering))
        };
        if is_current(&held.read()) || held.asked_for_vectors.load(Ordering::Acquire) {
            return;
        }
        let more = external_vectors_load::load(
            &mut held.write().catalog,
            &of.project,
            (&answering, &store),
            EXTERNAL_INLINE_MAX,
        );
        match more {
            Ok(true) => self.ask_for(&held.asked_for_vectors, of),
            Ok(false) => {}
            Err(fault) => tracing::warn!(%fault, "the vector file cannot be read; no new vectors are used"),
        }
    }

    fn ask_for(&self, asked: &AtomicBool, of: &CatalogKey) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = requests.as_ref()
            && !asked.swap(true, Ordering::AcqRel)
            && requests.try_send(of.clone()).is_err()
        {
            asked.store(false, Ordering::Release);
        }
    }

    pub(super) fn held(&self, connection: &Connection, of: &CatalogKey) -> Arc<SharedCatalog> {
        let path = connection.path().map(str::to_owned);
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        // A rebuilt projection may contain other rows than the previous one.
        if cached.path != path {
            *cached = CachedCatalogs { path, catalogs: HashMap::new() };
        }
        if let Some(held) = cached.catalogs.get(of) {
            return Arc::clone(held);
        }
        let held =
            Arc::new(SharedCatalog::new(self.model, self.embeddings.is_some() && of.kind == Kind::Memories));
        cached.catalogs.insert(of.clone(), Arc::clone(&held));
        drop(cached);
        self.evict(Some(of));
        held
    }

    /// Restarts a catalog with less data per memory, and logs it.
    pub(super) fn reduce_contents(&self, state: &mut State, of: &CatalogKey) {
        let memories = state.catalog.len();
        state.reduce_contents(self.model);
        let extent = state.extent;
        tracing::warn!(
            project = of.project,
            kind = ?of.kind,
            memories,
            ?extent,
            room_bytes = self.bytes_max,
            "a project exceeds the memory for searching: give the engine more memory, or split the project"
        );
    }

    /// Evicts the least recently used catalogs until the others fit into the memory limit. Never evicts `kept`.
    pub(super) fn evict(&self, kept: Option<&CatalogKey>) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sizes: Vec<(u64, usize, CatalogKey)> = cached
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
            cached.catalogs.remove(&of);
        }
    }

    /// Returns the number of memories that have a vector, and the bytes of all catalogs, including those of items.
    pub fn size(&self) -> (usize, usize) {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.catalogs.iter().fold((0, 0), |(count, bytes), (of, held)| {
            let vectors = if of.kind == Kind::Memories { held.vectors() } else { 0 };
            (count + vectors, bytes + held.bytes())
        })
    }
}
