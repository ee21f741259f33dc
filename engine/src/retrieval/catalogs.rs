//! The catalogs of all projects that are searched: made when they are first asked for, kept up with the projection by the
//! searches themselves, dropped when memory runs short.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::catalog::{Catalog, embedded};
use super::model::Model;
use super::outside;
use crate::embeddings::{Answering, Embeddings, VectorStore};
use crate::projection::{
    ProjectionShared, applied_seq, ends_after, forgotten_after, memories_after, projects,
};

/// How long a search itself adds memories to a catalog: some ten thousand of them. More are added by a thread, and searches go
/// without the catalog meanwhile.
const INLINE_TIME_MAX: Duration = Duration::from_millis(250);
/// Memories that are added between two looks at the clock.
const INLINE_STEP: usize = 64;
/// Memories that the thread adds while it holds a catalog: a search waits for no longer than ten milliseconds.
const STEP_MEMORIES: usize = 512;
/// Memories whose vectors a search itself makes anew.
const WEIGH_INLINE_MAX: usize = 1_024;
/// Vectors of an outside model that a search itself takes over: some ten milliseconds.
const OUTSIDE_INLINE_MAX: usize = 1_024;
/// Projects that wait for the thread. Who finds no room asks again with the next search.
const REQUESTS_MAX: usize = 64;
/// Projects whose catalogs are made at the start.
const WARMED_MAX: usize = 16;

/// A catalog and who uses it.
#[derive(Debug)]
pub(super) struct Held {
    catalog: RwLock<State>,
    used: AtomicU64,
    /// The thread is at it, or has been asked to be.
    asked: AtomicBool,
    /// Same, for vectors of an outside model. Searches go on with the built-in ones meanwhile.
    asked_for_vectors: AtomicBool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) catalog: Catalog,
    /// Ends and forgettings looked at, which come after all memories of before.
    ended_through: i64,
}

impl Held {
    fn new(model: Model, outside: bool) -> Held {
        let catalog = RwLock::new(State { catalog: Catalog::new(model, outside), ended_through: 0 });
        Held {
            catalog,
            used: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            asked_for_vectors: AtomicBool::new(false),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Catalogs by project.
#[derive(Debug)]
pub(crate) struct Catalogs {
    model: Model,
    embeddings: Option<Arc<Embeddings>>,
    /// All of them together, bytes.
    bytes_max: usize,
    shelf: Mutex<Shelf>,
    clock: AtomicU64,
    requests: Mutex<Option<SyncSender<String>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stopping: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// Of which projection they were made.
    path: Option<String>,
    catalogs: HashMap<String, Arc<Held>>,
}

/// Why a project's catalog cannot be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is being made.
    Loading,
}

impl Catalogs {
    /// Starts the thread that makes large catalogs.
    pub(crate) fn start(
        model: Model,
        embeddings: Option<Arc<Embeddings>>,
        bytes_max: usize,
        projection: Arc<ProjectionShared>,
    ) -> std::io::Result<Arc<Catalogs>> {
        let (requests, asked) = mpsc::sync_channel(REQUESTS_MAX);
        let stopping = Arc::new(AtomicBool::new(false));
        let catalogs = Arc::new(Catalogs {
            model,
            embeddings,
            bytes_max,
            shelf: Mutex::default(),
            clock: AtomicU64::new(0),
            requests: Mutex::new(Some(requests)),
            thread: Mutex::new(None),
            stopping: Arc::clone(&stopping),
        });
        let loader = Loader { catalogs: Arc::clone(&catalogs), projection, stopping };
        let thread = thread::Builder::new().name("catalogs".into()).spawn(move || loader.run(&asked))?;
        *catalogs.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(catalogs)
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the catalogs had panicked");
        }
    }

    /// Whether the thread lives.
    pub(crate) fn is_alive(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    pub(crate) fn model(&self) -> Model {
        self.model
    }

    /// The outside model whose vectors answer, and where they are kept.
    pub(super) fn answering(&self) -> Option<(Answering, Arc<VectorStore>)> {
        self.embeddings.as_ref()?.answering()
    }

    /// The project's catalog as of the moment the connection reads.
    pub(super) fn current(
        &self,
        connection: &Connection,
        project: &str,
    ) -> rusqlite::Result<Result<Arc<Held>, Missing>> {
        let held = self.held(connection, project);
        held.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let applied = applied_seq(connection)?;
        if held.read().ended_through >= applied {
            self.take_over(&held, project);
            return Ok(Ok(held));
        }
        if held.asked.load(Ordering::Acquire) {
            return Ok(Err(Missing::Loading));
        }
        let mut state = held.write();
        let (started, mut whole) = (Instant::now(), false);
        // What takes longer than a search may wait for is left to the thread.
        while !whole && started.elapsed() < INLINE_TIME_MAX {
            whole = catch_up(&mut state, connection, project, INLINE_STEP)?;
        }
        let outgrown = state.catalog.vectors.is_outgrown();
        if outgrown && state.catalog.len() <= WEIGH_INLINE_MAX {
            weigh_anew(&mut state.catalog, connection, project)?;
        }
        let large = outgrown && state.catalog.len() > WEIGH_INLINE_MAX;
        drop(state);
        if !whole || large {
            self.ask_for(&held.asked, project);
        }
        if whole {
            self.take_over(&held, project);
        }
        Ok(if whole { Ok(held) } else { Err(Missing::Loading) })
    }

    /// Drops all of them.
    pub(crate) fn clear(&self) {
        *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = Shelf::default();
    }

    /// Takes over what vectors an outside model has made since, when they are few. What cannot be read is not there.
    fn take_over(&self, held: &Held, project: &str) {
        let Some((answering, store)) = self.answering() else { return };
        let is_current = |state: &State| {
            state.catalog.outside.as_ref().is_none_or(|outside| outside.is_current(&answering))
        };
        if is_current(&held.read()) || held.asked_for_vectors.load(Ordering::Acquire) {
            return;
        }
        let more =
            outside::load(&mut held.write().catalog, project, (&answering, &store), OUTSIDE_INLINE_MAX);
        match more {
            Ok(true) => self.ask_for(&held.asked_for_vectors, project),
            Ok(false) => {}
            Err(fault) => tracing::warn!(%fault, "the file of vectors cannot be read"),
        }
    }

    fn ask_for(&self, asked: &AtomicBool, project: &str) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = requests.as_ref()
            && !asked.swap(true, Ordering::AcqRel)
            && requests.try_send(project.to_owned()).is_err()
        {
            asked.store(false, Ordering::Release);
        }
    }

    fn held(&self, connection: &Connection, project: &str) -> Arc<Held> {
        let path = connection.path().map(str::to_owned);
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        // Another projection may hold other rows, if the one before was wrong.
        if shelf.path != path {
            *shelf = Shelf { path, catalogs: HashMap::new() };
        }
        if let Some(held) = shelf.catalogs.get(project) {
            return Arc::clone(held);
        }
        self.make_room(&mut shelf);
        let held = Arc::new(Held::new(self.model, self.embeddings.is_some()));
        shelf.catalogs.insert(project.to_owned(), Arc::clone(&held));
        held
    }

    /// Drops what was not used for longest, until what is left fits.
    fn make_room(&self, shelf: &mut Shelf) {
        let mut sizes: Vec<(u64, usize, String)> = shelf
            .catalogs
            .iter()
            .map(|(project, held)| {
                let bytes = held.catalog.try_read().map_or(0, |state| state.catalog.bytes());
                (held.used.load(Ordering::Relaxed), bytes, project.clone())
            })
            .collect();
        sizes.sort_unstable();
        let mut total: usize = sizes.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, project) in sizes {
            if total <= self.bytes_max {
                return;
            }
            total -= bytes;
            shelf.catalogs.remove(&project);
        }
    }

    /// Memories that have a vector, and bytes of all catalogs.
    pub(crate) fn size(&self) -> (usize, usize) {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let each = shelf.catalogs.values().filter_map(|held| held.catalog.try_read().ok());
        each.fold((0, 0), |(count, bytes), state| {
            (count + state.catalog.vectors.len(), bytes + state.catalog.bytes())
        })
    }
}

/// Adds what the projection has and the catalog does not. Whether that is all of it.
fn catch_up(
    state: &mut State,
    connection: &Connection,
    project: &str,
    limit: usize,
) -> rusqlite::Result<bool> {
    let applied = applied_seq(connection)?;
    let State { catalog, ended_through } = state;
    if memories_after(connection, project, catalog.through, limit, |row| catalog.push(row))? {
        return Ok(false);
    }
    catalog.through = catalog.through.max(applied);
    ends_after(connection, *ended_through, |end| catalog.end(end))?;
    forgotten_after(connection, *ended_through, |seq| catalog.forget(seq))?;
    *ended_through = applied;
    Ok(true)
}

/// Makes all vectors again with today's weights of tokens.
fn weigh_anew(catalog: &mut Catalog, connection: &Connection, project: &str) -> rusqlite::Result<()> {
    let mut vectors = catalog.vectors.weighed_anew();
    memories_after(connection, project, 0, usize::MAX, |row| {
        // What was forgotten has no row, and keeps its place.
        while vectors.len() < catalog.len() && catalog.seq(place(vectors.len())) < row.seq {
            vectors.put_again("");
        }
        if vectors.len() < catalog.len() {
            vectors.put_again(&embedded(row));
        }
    })?;
    while vectors.len() < catalog.len() {
        vectors.put_again("");
    }
    catalog.vectors = vectors;
    Ok(())
}

fn place(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Makes what takes too long for a search.
struct Loader {
    catalogs: Arc<Catalogs>,
    projection: Arc<ProjectionShared>,
    stopping: Arc<AtomicBool>,
}

impl Loader {
    fn run(self, requests: &Receiver<String>) {
        self.warm_up();
        // Ends when the last sender is gone.
        for project in requests {
            self.load(&project);
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Makes catalogs before anybody asks, the largest projects first, as far as they fit.
    fn warm_up(&self) {
        let patience = Duration::from_millis(50);
        let mut largest = self.projection.read_blocking(|connection| projects(connection, WARMED_MAX));
        while largest.is_err() && !self.is_stopping() {
            thread::sleep(patience);
            largest = self.projection.read_blocking(|connection| projects(connection, WARMED_MAX));
        }
        for (project, _) in largest.unwrap_or_default() {
            if self.is_stopping() || self.catalogs.size().1 > self.catalogs.bytes_max / 2 {
                return;
            }
            self.load(&project);
        }
    }

    fn load(&self, project: &str) {
        loop {
            if self.is_stopping() {
                return;
            }
            let step = self.projection.read_blocking(|connection| {
                let moment = connection.unchecked_transaction()?;
                let held = self.catalogs.held(&moment, project);
                let whole = catch_up(&mut held.write(), &moment, project, STEP_MEMORIES)?;
                Ok((held, whole))
            });
            match step {
                Ok((held, true)) => {
                    self.weigh_anew(&held, project);
                    held.asked.store(false, Ordering::Release);
                    self.take_over(&held, project);
                    held.asked_for_vectors.store(false, Ordering::Release);
                    return;
                }
                Ok((held, false)) => held.asked.store(true, Ordering::Release),
                Err(fault) => {
                    tracing::warn!(%fault, "a catalog could not be made; the next search asks for it again");
                    return self.give_up(project);
                }
            }
        }
    }

    fn give_up(&self, project: &str) {
        let shelf = self.catalogs.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = shelf.catalogs.get(project) {
            held.asked.store(false, Ordering::Release);
            held.asked_for_vectors.store(false, Ordering::Release);
        }
    }

    /// Vectors of an outside model, step by step.
    fn take_over(&self, held: &Held, project: &str) {
        let Some((answering, store)) = self.catalogs.answering() else { return };
        loop {
            let more = outside::load(&mut held.write().catalog, project, (&answering, &store), STEP_MEMORIES);
            if !more.unwrap_or(false) || self.is_stopping() {
                return;
            }
        }
    }

    /// Beside the vectors that answer meanwhile: only the last step keeps searches waiting.
    fn weigh_anew(&self, held: &Held, project: &str) {
        let (mut vectors, seqs) = {
            let state = held.read();
            if !state.catalog.vectors.is_outgrown() {
                return;
            }
            (state.catalog.vectors.weighed_anew(), state.catalog.seqs().to_vec())
        };
        let mut after = 0;
        loop {
            let step = self.projection.read_blocking(|connection| {
                memories_after(connection, project, after, STEP_MEMORIES, |row| {
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
        held.write().catalog.replace_vectors(vectors, seqs.len());
    }
}
