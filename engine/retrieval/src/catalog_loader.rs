//! The background thread that builds the catalogs that are too large for a search to build.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use super::catalog_cache::CatalogCache;
use super::catalog_text::embedded;
use super::external_vectors_load;
use super::model::Model;
use super::recent::PROJECTS_MAX;
use super::shared_catalog::{CatalogKey, Extent, Kind, Progress, SharedCatalog};
use crate::embeddings::Embeddings;
use engine_projection::{ProjectionShared, item_projects, projects};

/// Number of memories added while the lock is held: a search waits about ten milliseconds for it at most.
const STEP_MEMORIES: usize = 512;

/// Length of the queue. If the queue is full, a search drops its request, and the next search requests the catalog
/// again.
const REQUESTS_MAX: usize = 64;

/// The state of the thread.
pub(super) struct Loader {
    pub(super) catalogs: Arc<CatalogCache>,
    pub(super) projection: Arc<ProjectionShared>,
    pub(super) stopping: Arc<AtomicBool>,
}

impl CatalogCache {
    /// Starts the thread. All catalogs together use at most `bytes_max` bytes; `data` is the data directory.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        model: Model,
        embeddings: Option<Arc<Embeddings>>,
        bytes_max: usize,
        (data, projection): (&Path, Arc<ProjectionShared>),
    ) -> std::io::Result<Arc<CatalogCache>> {
        let (requests, asked) = mpsc::sync_channel(REQUESTS_MAX);
        let catalogs = Arc::new(CatalogCache::new((model, embeddings), bytes_max, data, requests));
        let stopping = Arc::clone(&catalogs.stopping);
        let loader = Loader { catalogs: Arc::clone(&catalogs), projection, stopping };
        let thread = thread::Builder::new().name("catalogs".into()).spawn(move || loader.run(&asked))?;
        *catalogs.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(catalogs)
    }
}

impl Loader {
    pub(super) fn run(self, requests: &Receiver<CatalogKey>) {
        self.warm_up();
        // The loop ends when the last sender is dropped.
        for of in requests {
            self.load(&of);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Builds catalogs before the first search, until half of the memory limit is used: first those of the projects
    /// searched last, then those of the largest projects, then those of projects with items.
    fn warm_up(&self) {
        let patience = Duration::from_millis(50);
        let mut largest = self.projection.read_blocking(|connection| projects(connection, PROJECTS_MAX));
        while largest.is_err() && !self.is_stopping() {
            thread::sleep(patience);
            largest = self.projection.read_blocking(|connection| projects(connection, PROJECTS_MAX));
        }
        let mut warmed: Vec<CatalogKey> =
            self.catalogs.recent.read().iter().map(|project| CatalogKey::memories(project)).collect();
        warmed.extend(largest.unwrap_or_default().iter().map(|(project, _)| CatalogKey::memories(project)));
        let with_items = self.projection.read_blocking(|connection| item_projects(connection, PROJECTS_MAX));
        warmed.extend(with_items.unwrap_or_default().iter().map(|project| CatalogKey::items(project)));
        for of in warmed {
            if self.is_stopping() || self.catalogs.size().1 > self.catalogs.bytes_max / 2 {
                return;
            }
            self.load(&of);
        }
    }

    fn load(&self, of: &CatalogKey) {
        loop {
            if self.is_stopping() {
                return;
            }
            let step = self.projection.read_blocking(|connection| {
                let moment = connection.unchecked_transaction()?;
                let held = self.catalogs.held(&moment, of);
                let mut state = held.write();
                let room = self.catalogs.bytes_max;
                let progress = state.catch_up(&moment, of, STEP_MEMORIES, room)?;
                if progress == Progress::TooLarge && state.extent != Extent::Nothing {
                    self.catalogs.reduce_contents(&mut state, of);
                }
                drop(state);
                self.catalogs.evict(Some(of));
                Ok((held, progress))
            });
            match step {
                Ok((held, Progress::Whole)) => {
                    self.reweight(&held, of);
                    held.asked.store(false, Ordering::Release);
                    self.load_external_vectors(&held, of);
                    held.asked_for_vectors.store(false, Ordering::Release);
                    return;
                }
                Ok((held, _)) if held.read().extent == Extent::Nothing => {
                    held.asked.store(false, Ordering::Release);
                    return;
                }
                Ok((held, _)) => held.asked.store(true, Ordering::Release),
                Err(fault) => {
                    tracing::warn!(%fault, "a catalog could not be built; the next search requests it again");
                    return self.give_up(of);
                }
            }
        }
    }

    fn give_up(&self, of: &CatalogKey) {
        let cached = self.catalogs.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = cached.catalogs.get(of) {
            held.asked.store(false, Ordering::Release);
            held.asked_for_vectors.store(false, Ordering::Release);
        }
    }

    /// Copies new vectors of the external model into the catalog, step by step.
    fn load_external_vectors(&self, held: &SharedCatalog, of: &CatalogKey) {
        let (Kind::Memories, Some((answering, store))) = (of.kind, self.catalogs.answering()) else { return };
        loop {
            let more = external_vectors_load::load(
                &mut held.write().catalog,
                &of.project,
                (&answering, &store),
                STEP_MEMORIES,
            );
            if !more.unwrap_or(false) || self.is_stopping() {
                return;
            }
        }
    }

    /// Recomputes the vectors with new token weights. Searches use the old vectors meanwhile and are blocked only
    /// during the swap.
    fn reweight(&self, held: &SharedCatalog, of: &CatalogKey) {
        let (mut vectors, seqs) = {
            let mut state = held.write();
            if !state.catalog.vectors.is_outgrown() {
                return;
            }
            // Old and new vectors exist at the same time. If both do not fit into memory, the current weights stay in
            // use.
            if state.catalog.bytes() + state.catalog.vectors.bytes() > self.catalogs.bytes_max {
                state.catalog.vectors.keep_weights();
                return;
            }
            (state.catalog.vectors.reweighted(), state.catalog.seqs().to_vec())
        };
        let mut after = 0;
        loop {
            let step = self.projection.read_blocking(|connection| {
                of.rows_after(connection, after, STEP_MEMORIES, |row| {
                    while seqs.get(vectors.len()).is_some_and(|seq| *seq < row.seq) {
                        vectors.put_again("");
                    }
                    if vectors.len() < seqs.len() {
                        vectors.put_again(&embedded(row));
                    }
                    after = row.seq;
                })
            });
            match step {
                Ok(true) if vectors.len() < seqs.len() && !self.is_stopping() => {}
                Ok(_) => break,
                Err(_) => return,
            }
        }
        while vectors.len() < seqs.len() {
            vectors.put_again("");
        }
        let mut state = held.write();
        // A search may have restarted the catalog without vectors in the meantime.
        if state.extent == Extent::Everything && state.catalog.len() >= seqs.len() {
            state.catalog.replace_vectors(vectors, seqs.len());
        }
    }
}
