//! A catalog that searches share, and its synchronisation with the projection.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::Connection;

use super::catalog::Catalog;
use super::catalog_text::embedded;
use super::model::Model;
use engine_projection::{
    MemoryRow, applied_seq, ends_after, forgotten_after, item_changes_after, items_after, memories_after,
    refreshes_after,
};

/// A catalog behind a lock, and flags for the work requested from the background thread.
#[derive(Debug)]
pub(super) struct SharedCatalog {
    catalog: RwLock<State>,
    /// Logical time of the last search; 0 means never.
    pub(super) used: AtomicU64,
    /// Whether the background thread was requested to build the catalog, and has not finished.
    pub(super) asked: AtomicBool,
    /// Whether the thread was requested to copy vectors of an external model. Searches use the built-in vectors
    /// meanwhile.
    pub(super) asked_for_vectors: AtomicBool,
}

/// Key of a catalog: the project, and whether it holds memories or items. Each catalog has its own vocabulary and
/// statistics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CatalogKey {
    pub(super) kind: Kind,
    pub(super) project: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Memories,
    Items,
}

impl CatalogKey {
    pub(super) fn memories(project: &str) -> CatalogKey {
        CatalogKey { kind: Kind::Memories, project: project.to_owned() }
    }

    pub(super) fn items(project: &str) -> CatalogKey {
        CatalogKey { kind: Kind::Items, project: project.to_owned() }
    }

    /// Reads at most `limit` rows after a sequence number, in order. Returns whether there are more rows.
    pub(super) fn rows_after(
        &self,
        connection: &Connection,
        after: i64,
        limit: usize,
        each: impl FnMut(&MemoryRow),
    ) -> rusqlite::Result<bool> {
        match self.kind {
            Kind::Memories => memories_after(connection, &self.project, after, limit, each),
            Kind::Items => items_after(connection, &self.project, after, limit, each),
        }
    }
}

/// What a catalog holds: as much as the memory limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Words and vectors.
    Everything,
    /// Words alone: vectors would exceed the limit.
    Words,
    /// Nothing: even words alone would exceed the limit.
    Nothing,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) catalog: Catalog,
    pub(super) extent: Extent,
    /// Last event whose ends of validity and removals were applied. The ends and removals are applied after all
    /// memories up to this event.
    pub(super) ended_through: i64,
    /// Last event at the time when the catalog was started.
    begun_at: i64,
}

/// Result of one update step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The catalog is up to date with the projection.
    Whole,
    /// There are more events to apply.
    More,
    /// The catalog exceeds the memory limit.
    TooLarge,
}

impl SharedCatalog {
    pub(super) fn new(model: Model, external: bool) -> SharedCatalog {
        let catalog = Catalog::new(model, external);
        SharedCatalog {
            catalog: RwLock::new(State {
                catalog,
                extent: Extent::Everything,
                ended_through: 0,
                begun_at: 0,
            }),
            used: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            asked_for_vectors: AtomicBool::new(false),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the catalog has applied this event. Never waits: returns false while the catalog is locked for writing.
    pub(super) fn is_current(&self, applied: i64) -> bool {
        self.catalog.try_read().is_ok_and(|state| state.ended_through >= applied)
    }

    /// Memory that the catalog uses, bytes; 0 while it is locked for writing.
    pub(super) fn bytes(&self) -> usize {
        self.catalog.try_read().map_or(0, |state| state.catalog.bytes())
    }

    /// Number of memories that have a vector; 0 while the catalog is locked for writing.
    pub(super) fn vectors(&self) -> usize {
        self.catalog.try_read().map_or(0, |state| state.catalog.vectors.len())
    }
}

impl State {
    /// Adds at most `limit` memories that are in the projection but not in the catalog.
    pub(super) fn catch_up(
        &mut self,
        connection: &Connection,
        of: &CatalogKey,
        limit: usize,
        bytes_max: usize,
    ) -> rusqlite::Result<Progress> {
        let applied = applied_seq(connection)?;
        if self.extent == Extent::Nothing {
            return Ok(Progress::TooLarge);
        }
        if of.kind == Kind::Items {
            return self.catch_up_items(connection, of, limit, bytes_max);
        }
        let State { catalog, ended_through, .. } = self;
        let more = of.rows_after(connection, catalog.applied_through, limit, |row| catalog.push(row))?;
        if catalog.bytes() > bytes_max {
            return Ok(Progress::TooLarge);
        }
        if more {
            return Ok(Progress::More);
        }
        catalog.applied_through = catalog.applied_through.max(applied);
        ends_after(connection, *ended_through, |end| catalog.end(end))?;
        forgotten_after(connection, *ended_through, |seq| catalog.forget(seq))?;
        // A search that reads an older snapshot must not move this number back.
        *ended_through = applied.max(*ended_through);
        Ok(Progress::Whole)
    }

    /// Like `catch_up`, for items: a new version of an item replaces the previous version.
    fn catch_up_items(
        &mut self,
        connection: &Connection,
        of: &CatalogKey,
        limit: usize,
        bytes_max: usize,
    ) -> rusqlite::Result<Progress> {
        let applied = applied_seq(connection)?;
        if self.catalog.applied_through == 0 {
            self.begun_at = applied;
        }
        let since = self.ended_through.max(self.begun_at);
        let mut forgotten = false;
        forgotten_after(connection, since, |_| forgotten = true)?;
        // If a version was forgotten, an earlier version is current again. The catalog may have removed that version,
        // so it is rebuilt.
        if forgotten || self.catalog.is_mostly_empty() {
            self.catalog = self.catalog.empty_copy();
            (self.ended_through, self.begun_at) = (0, applied);
        }
        let since = self.ended_through.max(self.begun_at);
        let catalog = &mut self.catalog;
        let more = item_changes_after(connection, &of.project, catalog.applied_through, limit, |change| {
            change.replaces.into_iter().for_each(|seq| catalog.forget(seq));
            if let Some((row, until)) = &change.put {
                catalog.push(row);
                catalog.set_end(row.seq, row.known, *until);
            }
            catalog.applied_through = change.seq;
        })?;
        if catalog.bytes() > bytes_max {
            return Ok(Progress::TooLarge);
        }
        if more {
            return Ok(Progress::More);
        }
        refreshes_after(connection, since, |row| catalog.set_end(row.memory, row.known, Some(row.until)))?;
        catalog.applied_through = catalog.applied_through.max(applied);
        self.ended_through = applied.max(self.ended_through);
        Ok(Progress::Whole)
    }

    /// Restarts the catalog with less data: the first time without vectors, the second time without anything.
    pub(super) fn reduce_contents(&mut self, model: Model) {
        let has_directions = model != Model::Off && self.extent == Extent::Everything;
        self.extent = if has_directions { Extent::Words } else { Extent::Nothing };
        self.catalog = Catalog::new(Model::Off, false);
        (self.ended_through, self.begun_at) = (0, 0);
    }

    /// Recomputes all vectors with the current token weights.
    pub(super) fn reweight(&mut self, connection: &Connection, of: &CatalogKey) -> rusqlite::Result<()> {
        let catalog = &mut self.catalog;
        let mut vectors = catalog.vectors.reweighted();
        of.rows_after(connection, 0, usize::MAX, |row| {
            // A forgotten memory has no row, but keeps its number.
            while vectors.len() < catalog.len() && catalog.seqs()[vectors.len()] < row.seq {
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
}
