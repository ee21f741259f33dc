//! A catalog that searches share, and how it is kept up with the projection.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rusqlite::Connection;

use super::catalog::{Catalog, embedded};
use super::model::Model;
use engine_projection::{
    MemoryRow, applied_seq, ends_after, forgotten_after, item_changes_after, items_after, memories_after,
    refreshes_after,
};

/// A catalog and who uses it.
#[derive(Debug)]
pub(super) struct SharedCatalog {
    catalog: RwLock<State>,
    pub(super) used: AtomicU64,
    /// The thread is at it, or has been asked to be.
    pub(super) asked: AtomicBool,
    /// Same, for vectors of an outside model. Searches go on with the built-in ones meanwhile.
    pub(super) asked_for_vectors: AtomicBool,
}

/// What a catalog is of: a project and one kind of what it has. Each has words and statistics of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Of {
    pub(super) kind: Kind,
    pub(super) project: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Memories,
    Items,
}

impl Of {
    pub(super) fn memories(project: &str) -> Of {
        Of { kind: Kind::Memories, project: project.to_owned() }
    }

    pub(super) fn items(project: &str) -> Of {
        Of { kind: Kind::Items, project: project.to_owned() }
    }

    /// Reads what there is, in order: at most so many after this one. Whether there are more.
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

/// What of a project's memories is held: as much as there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Words and directions.
    Everything,
    /// Words alone: with directions it would be too much.
    Words,
    /// Words alone would be too much.
    Nothing,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) catalog: Catalog,
    pub(super) extent: Extent,
    /// Ends and forgettings looked at, which come after all memories of before.
    pub(super) ended_through: i64,
    /// The last event there was when it was begun.
    begun_at: i64,
}

/// How far a catalog has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// As far as the projection.
    Whole,
    /// There is more.
    More,
    /// It is too large for its room.
    TooLarge,
}

impl SharedCatalog {
    pub(super) fn new(model: Model, outside: bool) -> SharedCatalog {
        let catalog = Catalog::new(model, outside);
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

    /// Whether it has come so far, without waiting for who changes it.
    pub(super) fn is_current(&self, applied: i64) -> bool {
        self.catalog.try_read().is_ok_and(|state| state.ended_through >= applied)
    }

    /// Bytes of memory, and 0 while somebody changes it.
    pub(super) fn bytes(&self) -> usize {
        self.catalog.try_read().map_or(0, |state| state.catalog.bytes())
    }

    /// Memories that have a vector, none while somebody changes it.
    pub(super) fn vectors(&self) -> usize {
        self.catalog.try_read().map_or(0, |state| state.catalog.vectors.len())
    }
}

impl State {
    /// Adds what the projection has and the catalog does not, so many memories at most.
    pub(super) fn catch_up(
        &mut self,
        connection: &Connection,
        of: &Of,
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
        let more = of.rows_after(connection, catalog.through, limit, |row| catalog.push(row))?;
        if catalog.bytes() > bytes_max {
            return Ok(Progress::TooLarge);
        }
        if more {
            return Ok(Progress::More);
        }
        catalog.through = catalog.through.max(applied);
        ends_after(connection, *ended_through, |end| catalog.end(end))?;
        forgotten_after(connection, *ended_through, |seq| catalog.forget(seq))?;
        // Somebody who reads an older moment takes nothing back.
        *ended_through = applied.max(*ended_through);
        Ok(Progress::Whole)
    }

    /// The same for items: a new version takes the place of the one before.
    fn catch_up_items(
        &mut self,
        connection: &Connection,
        of: &Of,
        limit: usize,
        bytes_max: usize,
    ) -> rusqlite::Result<Progress> {
        let applied = applied_seq(connection)?;
        if self.catalog.through == 0 {
            self.begun_at = applied;
        }
        let since = self.ended_through.max(self.begun_at);
        let mut forgotten = false;
        forgotten_after(connection, since, |_| forgotten = true)?;
        // Where a version was forgotten the one before counts again, which may be any.
        if forgotten || self.catalog.is_mostly_empty() {
            self.catalog = self.catalog.anew();
            (self.ended_through, self.begun_at) = (0, applied);
        }
        let since = self.ended_through.max(self.begun_at);
        let catalog = &mut self.catalog;
        let more = item_changes_after(connection, &of.project, catalog.through, limit, |change| {
            change.replaces.into_iter().for_each(|seq| catalog.forget(seq));
            if let Some((row, until)) = &change.put {
                catalog.push(row);
                catalog.set_end(row.seq, row.known, *until);
            }
            catalog.through = change.seq;
        })?;
        if catalog.bytes() > bytes_max {
            return Ok(Progress::TooLarge);
        }
        if more {
            return Ok(Progress::More);
        }
        refreshes_after(connection, since, |row| catalog.set_end(row.memory, row.known, Some(row.until)))?;
        catalog.through = catalog.through.max(applied);
        self.ended_through = applied.max(self.ended_through);
        Ok(Progress::Whole)
    }

    /// Begins anew with less of each memory.
    pub(super) fn lessen(&mut self, model: Model) {
        let has_directions = model != Model::Off && self.extent == Extent::Everything;
        self.extent = if has_directions { Extent::Words } else { Extent::Nothing };
        self.catalog = Catalog::new(Model::Off, false);
        (self.ended_through, self.begun_at) = (0, 0);
    }

    /// Makes all vectors again with today's weights of tokens.
    pub(super) fn weigh_anew(&mut self, connection: &Connection, of: &Of) -> rusqlite::Result<()> {
        let catalog = &mut self.catalog;
        let mut vectors = catalog.vectors.weighed_anew();
        of.rows_after(connection, 0, usize::MAX, |row| {
            // What was forgotten has no row, and keeps its place.
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
