//! Search queries over memories.

use engine_core::digest::hex;
use engine_core::identity::{HasIdentifiers, NamesProjects, Visit};
use engine_core::limits::{MANDATORY_MAX, SEARCH_TOTAL_MAX};
use engine_core::policy::Form;
use engine_core::query::{any_of, full_text, snippet};
use engine_core::tags::Tags;
use engine_core::wire::{MemoryView, SearchAnswer, SearchHit, SearchMode, Validity};
use engine_core::words::terms::Terms;
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row};

use super::memory_view::view;
use super::text_ranking::Texts;
use super::top_matches::Best;
use super::validity::{Bounds, Moment, VALID_AT, VALID_NOW, validity};
use super::values::{list, tags, time_of_text};

/// Number of characters at the start of a memory that are scored, and searched for matching words when a snippet is
/// cut.
const SNIPPET_SOURCE_CHARS: usize = 16_384;
/// Weight of a word in the title, relative to a word in the text.
pub const TITLE_WEIGHT: f64 = 4.0;
/// Weight of a word among the tags, relative to a word in the text.
pub const TAG_WEIGHT: f64 = 2.0;
/// Hex digits of a hash in a citation: enough to distinguish events, short enough to write down.
pub(super) const CITATION_DIGITS: usize = 12;

/// A validated search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// Query words. If empty, all memories match, newest first.
    pub words: String,
    pub project: Option<String>,
    pub kind: Option<String>,
    pub session: Option<String>,
    pub tags: Tags,
    pub mode: SearchMode,
    /// Whether each hit contains an explanation of its score.
    pub explain: bool,
    pub moment: Moment,
    pub limit: u32,
    pub offset: u32,
}

impl HasIdentifiers for Search {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let Search {
            words,
            project,
            kind,
            session,
            tags,
            mode: _,
            explain: _,
            moment: _,
            limit: _,
            offset: _,
        } = self;
        // Identifiers in the query are replaced in the same way as identifiers in stored memories, so that they still
        // match.
        visit(words, Form::Whole);
        let names = [project, kind, session].into_iter().flatten();
        names.chain(tags.iter_mut()).for_each(|name| visit(name, Form::Whole));
    }
}

impl NamesProjects for Search {
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
        visit(&mut self.project);
    }
}

const FILTER: &str = "(:project IS NULL OR m.project = :project) AND (:kind IS NULL OR m.kind = :kind)
     AND (:session IS NULL OR m.session = :session)";

/// Condition: memory `m` matches the tag filters, which are lists as JSON.
pub(super) const TAGGED: &str = "(:tags_any = '[]' OR EXISTS (SELECT 1 FROM json_each(m.tags) t
        WHERE t.value IN (SELECT value FROM json_each(:tags_any))))
     AND NOT EXISTS (SELECT 1 FROM json_each(:tags_all) w
        WHERE w.value NOT IN (SELECT value FROM json_each(m.tags)))";

/// Columns that [`Search::hit`] reads.
fn columns() -> String {
    format!(
        "m.id, m.seq, m.hash, m.title, m.project, m.kind, m.tags, m.created_at, m.valid_from,
         beginning(m.content, {SNIPPET_SOURCE_CHARS}), m.actor, m.session, m.occurred_at"
    )
}

/// The `FROM` clause that selects the matches, and the values of its conditions.
struct Matches {
    from: String,
    query: Option<String>,
    bounds: Bounds,
}

impl Search {
    /// Runs the search, in the caller's transaction.
    ///
    /// # Errors
    /// A query fails.
    pub fn run(&self, connection: &Connection) -> rusqlite::Result<SearchAnswer> {
        let moment = connection;
        let applied: i64 = moment.query_row("SELECT seq FROM applied", [], |row| row.get(0))?;
        let bounds = self.moment.bounds(moment)?;
        let query = full_text(&Terms::default(), &self.words);
        let (items, total) = match (query, self.words.trim().is_empty()) {
            (Some(query), _) => self.by_words(moment, &self.matches(Some(query), bounds))?,
            (None, true) => self.newest(moment, &self.matches(None, bounds))?,
            // The query is only punctuation, which no memory contains as a word.
            (None, false) => (Vec::new(), 0),
        };
        let total_max = u64::from(SEARCH_TOTAL_MAX);
        Ok(SearchAnswer {
            items,
            total: total.min(total_max),
            total_is_bound: total > total_max,
            applied_seq: applied.unsigned_abs(),
            mode: SearchMode::Lexical,
            weights: String::new(),
            degraded: Vec::new(),
        })
    }

    /// The memories that contain any term in `terms`, best first, at most `limit`. They are ranked by the words of
    /// their own texts alone. If there are too many matches, only the newest are ranked.
    ///
    /// # Errors
    /// A query fails.
    pub fn best_having_any(
        &self,
        connection: &Connection,
        terms: &[String],
        bounds: Bounds,
        limit: usize,
    ) -> rusqlite::Result<Vec<i64>> {
        let Some(query) = any_of(terms) else { return Ok(Vec::new()) };
        let best = self.ranked(connection, &self.matches(Some(query), bounds), limit)?;
        Ok(best.in_order().map(|(seq, _)| seq).collect())
    }

    /// Search hits for these memories, in this order, with their scores.
    ///
    /// # Errors
    /// A query fails.
    pub fn shown(
        &self,
        connection: &Connection,
        bounds: Bounds,
        ranked: &[(i64, f64)],
    ) -> rusqlite::Result<Vec<SearchHit>> {
        let sql = format!("SELECT {} FROM memories m WHERE m.seq = ?1", columns());
        let mut statement = connection.prepare_cached(&sql)?;
        let hits = ranked.iter().map(|(seq, score)| {
            statement.query_row([seq], |row| self.hit(connection, bounds, row, *score)).optional()
        });
        hits.filter_map(Result::transpose).collect()
    }

    // If the project is the only filter, the matches are selected with indexes alone, so that the rows of thousands of
    // memories are not read. The index is named explicitly, because the planner would otherwise look up the rows.
    fn matches(&self, query: Option<String>, bounds: Bounds) -> Matches {
        const IN_PROJECT: &str = "EXISTS (SELECT 1 FROM memories p INDEXED BY memories_by_project
             WHERE p.project = :project AND p.seq = f.rowid)";
        let narrowed = self.kind.is_some() || self.session.is_some() || !self.tags.is_empty();
        let valid = if bounds.is_now { VALID_NOW } else { VALID_AT };
        let tagged = if self.tags.is_empty() { "1" } else { TAGGED };
        let join = "JOIN memories m ON m.seq = f.rowid";
        let from = match (&query, narrowed || !bounds.is_now) {
            (Some(_), false) if self.project.is_some() => {
                format!("memories_fts f WHERE memories_fts MATCH :query AND {IN_PROJECT} AND {valid}")
            }
            (Some(_), false) => format!("memories_fts f WHERE memories_fts MATCH :query AND {valid}"),
            (Some(_), true) => {
                format!(
                    "memories_fts f {join} WHERE memories_fts MATCH :query AND {FILTER} AND {tagged} AND {valid}"
                )
            }
            (None, _) => {
                format!("memories m WHERE {FILTER} AND {tagged} AND {}", valid.replace("f.rowid", "m.seq"))
            }
        };
        Matches { from, query, bounds }
    }

    /// Runs the statement `sql` with the search parameters that it uses, and collects the results of `read`.
    fn each<T>(
        &self,
        connection: &Connection,
        matches: &Matches,
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut answer = Vec::new();
        self.walk(connection, matches, sql, |row| {
            answer.push(read(row)?);
            Ok(())
        })?;
        Ok(answer)
    }

    /// Like [`Search::each`], without collecting the results.
    fn walk(
        &self,
        connection: &Connection,
        matches: &Matches,
        sql: &str,
        mut step: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(sql)?;
        let (tags_any, tags_all) = (list(self.tags.any()), list(self.tags.all()));
        let all: [(&str, &dyn ToSql); 11] = [
            (":tags_any", &tags_any),
            (":tags_all", &tags_all),
            (":query", &matches.query),
            (":project", &self.project),
            (":kind", &self.kind),
            (":session", &self.session),
            (":as_of", &matches.bounds.as_of),
            (":known_seq", &matches.bounds.known_seq),
            (":known_time", &matches.bounds.known_time),
            (":limit", &self.limit),
            (":offset", &self.offset),
        ];
        for (name, value) in all {
            if let Some(place) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(place, value)?;
            }
        }
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            step(row)?;
        }
        Ok(())
    }

    /// Counts the matches, up to one more than `SEARCH_TOTAL_MAX`.
    fn count(&self, connection: &Connection, matches: &Matches) -> rusqlite::Result<u64> {
        let from = &matches.from;
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {from} LIMIT {SEARCH_TOTAL_MAX} + 1)");
        let counted = self.each(connection, matches, &sql, |row| row.get::<_, i64>(0))?;
        Ok(counted.first().map_or(0, |total| total.unsigned_abs()))
    }

    /// Ranks and counts matches in one pass. A word in the title weighs more than one in the text.
    fn ranked(&self, connection: &Connection, matches: &Matches, count: usize) -> rusqlite::Result<Best> {
        let sql = format!("SELECT f.rowid FROM {} ORDER BY f.rowid DESC", matches.from);
        let text = format!(
            "SELECT title, beginning(content, {SNIPPET_SOURCE_CHARS}), tags FROM memories WHERE seq = ?1"
        );
        let (mut texts, mut statement) = (Texts::new(&self.words), connection.prepare_cached(&text)?);
        self.walk(connection, matches, &sql, |row| {
            let seq = row.get(0)?;
            if !texts.has_room() {
                texts.pass(seq);
                return Ok(());
            }
            let mut rows = statement.query([seq])?;
            if let Some(row) = rows.next()? {
                let part = |column: usize| row.get_ref(column).and_then(|text| Ok(text.as_str()?));
                texts.add(seq, &[(part(0)?, TITLE_WEIGHT), (part(1)?, 1.0), (part(2)?, TAG_WEIGHT)]);
            }
            Ok(())
        })?;
        let of = match &self.project {
            Some(_) => "SELECT count(*) FROM memories WHERE project = ?1",
            None => "SELECT count(*) FROM memories WHERE ?1 IS NULL",
        };
        let of: i64 = connection.prepare_cached(of)?.query_row([&self.project], |row| row.get(0))?;
        let mut best = Best::of(count);
        texts.ranked(of.unsigned_abs(), &mut best);
        Ok(best)
    }

    /// Passes the sequence numbers of the memories, in all projects, that contain all words of the query to `each`, in
    /// log order. Ignores the other filters of the search.
    ///
    /// # Errors
    /// The query fails.
    pub fn having_all(&self, connection: &Connection, each: &mut dyn FnMut(i64)) -> rusqlite::Result<()> {
        let Some(query) = full_text(&Terms::default(), &self.words) else { return Ok(()) };
        let sql = "SELECT rowid FROM memories_fts WHERE memories_fts MATCH ?1 ORDER BY rowid";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([query])?;
        while let Some(row) = rows.next()? {
            each(row.get(0)?);
        }
        Ok(())
    }

    /// The columns of a hit are read only for the matches that are returned.
    fn by_words(
        &self,
        connection: &Connection,
        matches: &Matches,
    ) -> rusqlite::Result<(Vec<SearchHit>, u64)> {
        let best = self.ranked(connection, matches, (self.offset + self.limit) as usize)?;
        let total = best.total();
        let ranked: Vec<(i64, f64)> = best.in_order().skip(self.offset as usize).collect();
        Ok((self.shown(connection, matches.bounds, &ranked)?, total))
    }

    fn newest(&self, connection: &Connection, matches: &Matches) -> rusqlite::Result<(Vec<SearchHit>, u64)> {
        let total = self.count(connection, matches)?;
        let (columns, from) = (columns(), &matches.from);
        let sql = format!("SELECT {columns} FROM {from} ORDER BY m.seq DESC LIMIT :limit OFFSET :offset");
        let hit = |row: &Row<'_>| self.hit(connection, matches.bounds, row, 0.0);
        Ok((self.each(connection, matches, &sql, hit)?, total))
    }

    // FTS5's function `snippet()` is not used. Its time grows with the square of a word's frequency: a memory that
    // repeats a word a thousand times would delay every search that finds the memory.
    fn hit(
        &self,
        connection: &Connection,
        bounds: Bounds,
        row: &Row<'_>,
        score: f64,
    ) -> rusqlite::Result<SearchHit> {
        let seq: i64 = row.get(1)?;
        let hash: [u8; 32] = row.get(2)?;
        let content: String = row.get(9)?;
        Ok(SearchHit {
            id: row.get(0)?,
            seq: seq.unsigned_abs(),
            citation: format!("{seq}:{}", hex(&hash[..CITATION_DIGITS / 2])),
            title: row.get(3)?,
            snippet: snippet(&Terms::default(), &content, &self.words),
            score,
            project: row.get(4)?,
            kind: row.get(5)?,
            tags: tags(row, 6)?,
            created_at: time_of_text(row, 7)?,
            validity: validity(connection, seq, row.get(8)?, bounds)?,
            actor: row.get(10)?,
            session: row.get(11)?,
            occurred_at: time_of_text(row, 12)?,
            breakdown: None,
        })
    }
}

/// A memory as shown in a context.
#[derive(Debug, Clone)]
pub struct ContextMemory {
    pub seq: i64,
    pub id: String,
    pub citation: String,
    pub title: String,
    pub content: String,
    /// RFC 3339 time.
    pub occurred_at: String,
}

const SHOWN: &str = "SELECT m.seq, m.id, m.hash, m.title, m.content, m.occurred_at FROM memories m";

impl ContextMemory {
    fn read(row: &Row<'_>) -> rusqlite::Result<ContextMemory> {
        let (seq, hash): (i64, [u8; 32]) = (row.get(0)?, row.get(2)?);
        Ok(ContextMemory {
            seq,
            id: row.get(1)?,
            citation: format!("{seq}:{}", hex(&hash[..CITATION_DIGITS / 2])),
            title: row.get(3)?,
            content: row.get(4)?,
            occurred_at: row.get(5)?,
        })
    }
}

/// The memory with sequence number `seq`, with its complete content. `None` if it does not exist.
///
/// # Errors
/// The query fails.
pub fn full_memories(connection: &Connection, seq: i64) -> rusqlite::Result<Option<ContextMemory>> {
    let sql = format!("{SHOWN} WHERE m.seq = ?1");
    connection.prepare_cached(&sql)?.query_row([seq], ContextMemory::read).optional()
}

/// The valid memories in the search's project whose type is in `types` or whose id is in `ids`, in log order. Returns
/// at most `MANDATORY_MAX` + 1 memories.
///
/// # Errors
/// A query fails.
pub fn shown_of_types(
    connection: &Connection,
    search: &Search,
    types: &[String],
    ids: &[String],
    bounds: Bounds,
) -> rusqlite::Result<Vec<ContextMemory>> {
    if types.is_empty() && ids.is_empty() {
        return Ok(Vec::new());
    }
    let limit = i64::try_from(MANDATORY_MAX + 1).unwrap_or(i64::MAX);
    let sql = format!(
        "{SHOWN} WHERE (:project IS NULL OR m.project = :project)
         AND (m.kind IN (SELECT value FROM json_each(:types)) OR m.id IN (SELECT value FROM json_each(:ids)))
         AND {VALID_AT} ORDER BY m.seq LIMIT :limit"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(
        rusqlite::named_params! {
            ":project": search.project, ":types": list(types), ":ids": list(ids), ":as_of": bounds.as_of,
            ":known_seq": bounds.known_seq, ":known_time": bounds.known_time, ":limit": limit,
        },
        ContextMemory::read,
    )?;
    found.collect()
}

/// Result of a lookup by id.
#[derive(Debug)]
pub enum Found {
    /// A memory valid at the requested moment.
    Valid(Box<MemoryView>),
    /// A memory valid at other times.
    NotValid(Validity),
    /// No memory with this id was known at the requested moment.
    Unknown,
}

/// Looks up one memory by its id.
///
/// # Errors
/// A query fails.
pub fn memory(connection: &Connection, id: &str, at: &Moment) -> rusqlite::Result<Found> {
    let moment = connection.unchecked_transaction()?;
    let bounds = at.bounds(&moment)?;
    let applied: i64 = moment.prepare_cached("SELECT seq FROM applied")?.query_row([], |row| row.get(0))?;
    let found = moment
        .prepare_cached(
            "SELECT id, seq, hash, title, project, kind, tags, created_at, valid_from, content, actor, session,
                    occurred_at FROM memories WHERE id = ?1 AND seq <= ?2 AND known <= ?3",
        )?
        .query_row((id, bounds.known_seq, bounds.known_time), |row| view(&moment, bounds, row, applied))
        .optional()?;
    let Some(view) = found else { return Ok(Found::Unknown) };
    let as_of = bounds.as_of;
    let Validity { from, until, .. } = &view.validity;
    let ended = until.is_some_and(|until| until.as_microsecond() <= as_of);
    match from.as_microsecond() > as_of || ended {
        true => Ok(Found::NotValid(view.validity)),
        false => Ok(Found::Valid(Box::new(view))),
    }
}
