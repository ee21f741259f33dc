//! Memories by id, timelines around an anchor, and the history of one memory.

use engine_core::digest::hex;
use engine_core::identity::{HasIdentifiers, NamesProjects, Visit};
use engine_core::limits::{ENTRIES_BYTES_MAX, HISTORY_MAX};
use engine_core::policy::Form;
use engine_core::query::snippet;
use engine_core::row::microseconds;
use engine_core::tags::Tags;
use engine_core::wire::{EntriesAnswer, EntryNotValid, TimelineAnswer, TimelineItem, Validity};
use engine_core::words::terms::Terms;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, ToSql};

use super::memory_view::view;
use super::validity::{Bounds, Moment, validity};
use super::values::sql;
use super::values::{list, time_of_text};

/// Characters of a memory from which a snippet is cut.
const SNIPPET_SOURCE_CHARS: usize = 300;

/// The memories with the given ids, in the given order, each once. `None` if their contents exceed the size limit of an
/// answer.
///
/// # Errors
/// A query fails.
pub fn entries(
    connection: &Connection,
    ids: &[String],
    at: &Moment,
) -> rusqlite::Result<Option<EntriesAnswer>> {
    let moment = connection.unchecked_transaction()?;
    let bounds = at.bounds(&moment)?;
    let applied = applied(&moment)?;
    let mut answer = EntriesAnswer {
        entries: Vec::new(),
        not_valid: Vec::new(),
        missing: Vec::new(),
        applied_seq: applied.unsigned_abs(),
    };
    let mut statement = moment.prepare_cached(
        "SELECT id, seq, hash, title, project, kind, tags, created_at, valid_from, content, actor, session,
                occurred_at FROM memories WHERE id = ?1 AND seq <= ?2 AND known <= ?3",
    )?;
    let (mut bytes, mut seen) = (0, std::collections::BTreeSet::new());
    for id in ids.iter().filter(|id| seen.insert(id.as_str())) {
        let found = statement
            .query_row((id, bounds.known_seq, bounds.known_time), |row| view(&moment, bounds, row, applied))
            .optional()?;
        match found {
            None => answer.missing.push(id.clone()),
            Some(found) if !is_true(&found.validity, bounds.as_of) => {
                answer.not_valid.push(EntryNotValid { id: found.id, validity: found.validity });
            }
            Some(found) => {
                bytes += found.content.len() as u64;
                if bytes > ENTRIES_BYTES_MAX {
                    return Ok(None);
                }
                answer.entries.push(found);
            }
        }
    }
    Ok(Some(answer))
}

fn is_true(validity: &Validity, as_of: i64) -> bool {
    validity.from.as_microsecond() <= as_of
        && validity.until.is_none_or(|until| until.as_microsecond() > as_of)
}

fn applied(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT seq FROM applied")?.query_row([], |row| row.get(0))
}

/// The anchor of a timeline.
#[derive(Debug, Clone)]
pub enum Anchor {
    /// Id of a memory.
    Id(String),
    /// Number of an event.
    Seq(u64),
    /// A time. The last memory that was accepted at or before this time is the last memory before the anchor.
    Time(Timestamp),
}

/// A validated request for a timeline.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Centre of the timeline.
    pub anchor: Anchor,
    /// Maximum number of memories before the anchor.
    pub before: u32,
    /// Maximum number of memories after the anchor.
    pub after: u32,
    pub project: Option<String>,
    pub session: Option<String>,
    pub tags: Tags,
    /// Time at which memories must be valid and known.
    pub moment: Moment,
}

impl HasIdentifiers for Timeline {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let Timeline { anchor: _, before: _, after: _, project, session, tags, moment: _ } = self;
        let names = [project, session].into_iter().flatten();
        names.chain(tags.iter_mut()).for_each(|name| visit(name, Form::Whole));
    }
}

impl NamesProjects for Timeline {
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
        visit(&mut self.project);
    }
}

impl Timeline {
    /// Returns the memories around the anchor. `None` if the anchor is an id that is not the id of a known memory.
    ///
    /// # Errors
    /// A query fails.
    pub fn run(&self, connection: &Connection) -> rusqlite::Result<Option<TimelineAnswer>> {
        let moment = connection.unchecked_transaction()?;
        let bounds = self.moment.bounds(&moment)?;
        let applied_seq = applied(&moment)?.unsigned_abs();
        let Some((last_before, first_after)) = self.borders(&moment, bounds)? else { return Ok(None) };
        let mut items = self.items(&moment, bounds, "seq <= ?", last_before, "DESC", self.before)?;
        items.reverse();
        let mut anchor = None;
        if first_after - last_before > 1 {
            let at = self.items(&moment, bounds, "seq = ?", last_before + 1, "ASC", 1)?;
            anchor = (!at.is_empty()).then_some(items.len());
            items.extend(at);
        }
        items.extend(self.items(&moment, bounds, "seq >= ?", first_after, "ASC", self.after)?);
        Ok(Some(TimelineAnswer { items, anchor, applied_seq }))
    }

    /// The last position before the anchor and the first position after the anchor.
    fn borders(&self, connection: &Connection, bounds: Bounds) -> rusqlite::Result<Option<(i64, i64)>> {
        let around = |seq: i64| (seq.saturating_sub(1), seq.saturating_add(1));
        match &self.anchor {
            Anchor::Seq(seq) => Ok(Some(around(sql(*seq)))),
            Anchor::Id(id) => connection
                .prepare_cached("SELECT seq FROM memories WHERE id = ?1 AND seq <= ?2 AND known <= ?3")?
                .query_row((id, bounds.known_seq, bounds.known_time), |row| row.get(0))
                .optional()
                .map(|seq| seq.map(around)),
            Anchor::Time(time) => connection
                .prepare_cached("SELECT coalesce(max(seq), 0) FROM memories WHERE known <= ?1")?
                .query_row([microseconds(*time)], |row| row.get::<_, i64>(0))
                .map(|seq| Some((seq, seq + 1))),
        }
    }

    fn items(
        &self,
        connection: &Connection,
        bounds: Bounds,
        place: &str,
        seq: i64,
        order: &str,
        limit: u32,
    ) -> rusqlite::Result<Vec<TimelineItem>> {
        let mut clauses = vec![place, "seq <= ?", "known <= ?"];
        let mut values: Vec<&dyn ToSql> = vec![&seq, &bounds.known_seq, &bounds.known_time];
        // Separate clauses, so that SQLite uses their indexes.
        if let Some(project) = &self.project {
            clauses.push("project = ?");
            values.push(project);
        }
        if let Some(session) = &self.session {
            clauses.push("session = ?");
            values.push(session);
        }
        let (tags_any, tags_all) = (list(self.tags.any()), list(self.tags.all()));
        if !self.tags.any().is_empty() {
            clauses.push(
                "EXISTS (SELECT 1 FROM json_each(tags) t WHERE t.value IN (SELECT value FROM json_each(?)))",
            );
            values.push(&tags_any);
        }
        if !self.tags.all().is_empty() {
            clauses.push("NOT EXISTS (SELECT 1 FROM json_each(?) w WHERE w.value NOT IN (SELECT value FROM json_each(tags)))");
            values.push(&tags_all);
        }
        let statement = format!(
            "SELECT id, seq, hash, title, project, kind, session, actor, occurred_at, created_at, valid_from,
                    beginning(content, {SNIPPET_SOURCE_CHARS})
             FROM memories WHERE {} ORDER BY seq {order} LIMIT {limit}",
            clauses.join(" AND ")
        );
        let mut statement = connection.prepare_cached(&statement)?;
        statement.query_map(values.as_slice(), |row| item(connection, bounds, row))?.collect()
    }
}

fn item(connection: &Connection, bounds: Bounds, row: &Row<'_>) -> rusqlite::Result<TimelineItem> {
    let seq: i64 = row.get(1)?;
    let content: String = row.get(11)?;
    Ok(TimelineItem {
        id: row.get(0)?,
        seq: seq.unsigned_abs(),
        citation: citation(seq.unsigned_abs(), &row.get::<_, [u8; 32]>(2)?),
        title: row.get(3)?,
        snippet: snippet(&Terms::default(), &content, ""),
        project: row.get(4)?,
        kind: row.get(5)?,
        session: row.get(6)?,
        actor: row.get(7)?,
        occurred_at: time_of_text(row, 8)?,
        created_at: time_of_text(row, 9)?,
        validity: validity(connection, seq, row.get(10)?, bounds)?,
    })
}

/// Citation of an event: `SEQ:HASH`, with the first 12 hex digits of the hash.
pub fn citation(seq: u64, hash: &[u8; 32]) -> String {
    format!("{seq}:{}", hex(&hash[..6]))
}

/// The project of the memory with the id `id`. `None` if the memory does not exist.
///
/// # Errors
/// The query fails.
pub fn project_of(connection: &Connection, id: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT project FROM memories WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
}

/// Numbers of the events that saved, ended, rated or forgot a memory, in order. Returns at most `HISTORY_MAX` + 1
/// numbers.
///
/// # Errors
/// The query fails.
pub fn history(connection: &Connection, id: &str) -> rusqlite::Result<Vec<u64>> {
    let statement = format!(
        "WITH memory AS (SELECT seq FROM memories WHERE id = ?1)
         SELECT seq FROM memory
         UNION SELECT i.seq FROM invalidations i WHERE i.memory IN memory
         UNION SELECT f.seq FROM feedback f WHERE f.memory IN memory
         UNION SELECT seq FROM forgotten WHERE target = ?1
         UNION SELECT event FROM forgotten WHERE target = ?1 AND event IS NOT NULL
         ORDER BY 1 LIMIT {}",
        HISTORY_MAX + 1
    );
    let mut statement = connection.prepare_cached(&statement)?;
    statement.query_map([id], |row| Ok(row.get::<_, i64>(0)?.unsigned_abs()))?.collect()
}

/// The stored pieces of a document.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of the document, if all stored pieces belong to one version and no piece is missing.
    pub sha256: Option<String>,
    /// Ids of the pieces that no event has ended, in order.
    pub ids: Vec<String>,
    /// A value that changes whenever pieces of the document are saved or anything is forgotten. Identical requests that
    /// read the same value have the same effect.
    pub version: (i64, i64),
}

/// Looks up the stored pieces of the document `uri` in a project. Pieces of several versions do not count as a complete
/// document.
///
/// # Errors
/// The query fails.
pub fn document(connection: &Connection, project: &str, uri: &str) -> rusqlite::Result<Stored> {
    let moment = connection.unchecked_transaction()?;
    let mut stored = Stored {
        version: moment
            .prepare_cached(
                "SELECT coalesce((SELECT max(seq) FROM sources WHERE project = ?1 AND uri = ?2), 0),
                        coalesce((SELECT max(seq) FROM forgotten), 0)",
            )?
            .query_row([project, uri], |row| Ok((row.get(0)?, row.get(1)?)))?,
        ..Stored::default()
    };
    let mut statement = moment.prepare_cached(
        "SELECT m.id, s.sha256, s.pieces FROM sources s JOIN memories m ON m.seq = s.seq
         WHERE s.project = ?1 AND s.uri = ?2 AND NOT EXISTS (SELECT 1 FROM invalidations i WHERE i.memory = s.seq)
         ORDER BY s.piece, s.seq",
    )?;
    let (mut rows, mut versions, mut pieces) =
        (statement.query([project, uri])?, std::collections::BTreeSet::new(), 0);
    while let Some(row) = rows.next()? {
        stored.ids.push(row.get(0)?);
        versions.insert(row.get::<_, String>(1)?);
        pieces = row.get::<_, i64>(2)?.unsigned_abs();
    }
    // The pieces are of one version and complete.
    if versions.len() == 1 && pieces == stored.ids.len() as u64 {
        stored.sha256 = versions.pop_first();
    }
    Ok(stored)
}
