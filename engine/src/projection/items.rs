//! Items: the words they are found by, and the queries.

use std::collections::BTreeSet;

use engine_core::digest::Hash;
use engine_core::filter::Filter;
use engine_core::limits::{ANSWER_BYTES_MAX, ITEM_CANDIDATES_MAX, MEMORY_FILES_MAX};
use engine_core::query::any_of;
use engine_core::request::NamespaceQuery;
use engine_core::row::Value;
use engine_core::wire::{ItemVersion, ItemVersions, ItemView, ItemsAnswer, NamespacesAnswer};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};
use serde_json::value::RawValue;

use super::best::Best;
use super::forgetting::IDS;
use super::recall::{EndRow, MemoryRow};
use super::search::malformed;
use super::texts::Texts;
use super::validity::{Bounds, Moment, time};

/// Where an item is, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemPlace {
    pub(crate) project: String,
    /// With full stops between its segments.
    pub(crate) namespace: String,
    pub(crate) key: String,
}

const AT: &str = "project = ?1 AND namespace = ?2 AND key = ?3";

impl ItemPlace {
    fn parameters(&self) -> [&str; 3] {
        [&self.project, &self.namespace, &self.key]
    }

    /// The latest version before this event and its words.
    fn latest(
        &self,
        connection: &Connection,
        before: i64,
    ) -> rusqlite::Result<Option<(i64, Option<String>)>> {
        let latest =
            format!("SELECT seq, words FROM items WHERE {AT} AND seq < ?4 ORDER BY seq DESC LIMIT 1");
        let [project, namespace, key] = self.parameters();
        connection
            .prepare_cached(&latest)?
            .query_row((project, namespace, key, before), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }
}

fn take_words(connection: &Connection, found: Option<(i64, Option<String>)>) -> rusqlite::Result<()> {
    let Some((seq, Some(words))) = found else { return Ok(()) };
    let delete = "INSERT INTO items_fts (items_fts, rowid, words) VALUES ('delete', ?1, ?2)";
    connection.prepare_cached(delete)?.execute((seq, words)).map(drop)
}

fn give_words(connection: &Connection, found: Option<(i64, Option<String>)>) -> rusqlite::Result<()> {
    let Some((seq, Some(words))) = found else { return Ok(()) };
    let insert = "INSERT INTO items_fts (rowid, words) VALUES (?1, ?2)";
    connection.prepare_cached(insert)?.execute((seq, words)).map(drop)
}

/// A version was inserted: it is found by its words, and the one before no longer.
pub(super) fn index(transaction: &Transaction<'_>, row: &[Value]) -> rusqlite::Result<()> {
    // As `engine_core::item` makes it.
    let [
        Value::Integer(seq),
        _,
        _,
        Value::Text(project),
        Value::Text(namespace),
        Value::Text(key),
        ..,
        words,
    ] = row
    else {
        return Err(malformed(0));
    };
    let place = ItemPlace { project: project.clone(), namespace: namespace.clone(), key: key.clone() };
    take_words(transaction, place.latest(transaction, *seq)?)?;
    let words = if let Value::Text(words) = words { Some(words.clone()) } else { None };
    give_words(transaction, Some((*seq, words)))
}

/// Takes the words of the items out that lose a version; answers which items these are.
pub(super) fn unindex(transaction: &Transaction<'_>, ids: &str) -> rusqlite::Result<Vec<ItemPlace>> {
    let named = format!("SELECT DISTINCT project, namespace, key FROM items WHERE id IN {IDS}");
    let mut statement = transaction.prepare_cached(&named)?;
    let place =
        |row: &Row<'_>| Ok(ItemPlace { project: row.get(0)?, namespace: row.get(1)?, key: row.get(2)? });
    let places: Vec<ItemPlace> =
        statement.query_map(named_params! {":ids": ids}, place)?.collect::<Result<_, _>>()?;
    for place in &places {
        take_words(transaction, place.latest(transaction, i64::MAX)?)?;
    }
    Ok(places)
}

/// The version before counts again.
pub(super) fn reindex(transaction: &Transaction<'_>, places: &[ItemPlace]) -> rusqlite::Result<()> {
    places.iter().try_for_each(|place| give_words(transaction, place.latest(transaction, i64::MAX)?))
}

/// Reads what [`columns`] says.
fn view(connection: &Connection, row: &Row<'_>, score: Option<f64>) -> rusqlite::Result<ItemView> {
    let (seq, namespace, value): (i64, String, String) = (row.get(0)?, row.get(3)?, row.get(7)?);
    let first =
        "SELECT min(known) FROM items WHERE project = ?1 AND namespace = ?2 AND key = ?3 AND seq <= ?4
         AND seq > ifnull((SELECT max(seq) FROM items
            WHERE project = ?1 AND namespace = ?2 AND key = ?3 AND seq < ?4 AND value IS NULL), 0)";
    let key: String = row.get(4)?;
    let project: String = row.get(8)?;
    let created: i64 = connection
        .prepare_cached(first)?
        .query_row((&project, &namespace, &key, seq), |first| first.get(0))?;
    Ok(ItemView {
        namespace: namespace.split('.').map(str::to_owned).collect(),
        key,
        value: RawValue::from_string(value).map_err(|_| malformed(7))?,
        version: seq.unsigned_abs(),
        id: row.get(1)?,
        hash: Hash(row.get(2)?).to_string(),
        created_at: time(created)?,
        updated_at: time(row.get(5)?)?,
        expires_at: row.get::<_, Option<i64>>(6)?.map(time).transpose()?,
        score,
    })
}

/// Until when a version `i` is there: what was said last.
const EXPIRES: &str = "ifnull((SELECT r.expires FROM refreshes r
        WHERE r.item = i.seq AND r.seq <= :known_seq AND r.known <= :known_time ORDER BY r.seq DESC LIMIT 1), i.expires)";

/// What [`view`] reads of a version `i`.
fn columns() -> String {
    format!("i.seq, i.id, i.hash, i.namespace, i.key, i.known, {EXPIRES}, i.value, i.project")
}

const AT_PLACE: &str = "i.project = :project AND i.namespace = :namespace AND i.key = :key";

/// A version of an item that has a time to live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timed {
    pub(crate) version: u64,
    /// Until when it is there, and how long it is after each read that gives it more time; microseconds.
    pub(crate) until: i64,
    pub(crate) ttl: i64,
}

/// Which of these versions have a time to live.
pub(crate) fn timed(connection: &Connection, versions: &[u64]) -> rusqlite::Result<Vec<Timed>> {
    let versions = serde_json::to_string(versions).expect("a list of numbers is always JSON");
    let sql = format!(
        "SELECT i.seq, {EXPIRES}, i.ttl * 1000 FROM items i WHERE i.seq IN (SELECT value FROM json_each(:versions))
         AND i.ttl IS NOT NULL AND i.expires IS NOT NULL"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let read = |row: &Row<'_>| {
        let version: i64 = row.get(0)?;
        Ok(Timed { version: version.unsigned_abs(), until: row.get(1)?, ttl: row.get(2)? })
    };
    let parameters = named_params! {":versions": versions, ":known_seq": i64::MAX, ":known_time": i64::MAX};
    statement.query_map(parameters, read)?.collect()
}

fn applied(connection: &Connection) -> rusqlite::Result<u64> {
    let seq: i64 = connection.prepare_cached("SELECT seq FROM applied")?.query_row([], |row| row.get(0))?;
    Ok(seq.unsigned_abs())
}

/// The item as it was known at a moment. Asked about the past, an item is told with its end instead of being left out.
pub(crate) fn item(
    connection: &Connection,
    place: &ItemPlace,
    asked: &Moment,
    past: bool,
) -> rusqlite::Result<Option<ItemView>> {
    let moment = connection.unchecked_transaction()?;
    let Bounds { as_of, known_seq, known_time, .. } = asked.bounds(&moment)?;
    let latest = format!(
        "SELECT {} FROM items i WHERE {AT_PLACE} AND i.seq <= :known_seq AND i.known <= :known_time
         ORDER BY i.seq DESC LIMIT 1",
        columns()
    );
    let read = |row: &Row<'_>| {
        let expires: Option<i64> = row.get(6)?;
        let gone = !past && expires.is_some_and(|at| at <= as_of);
        if gone || row.get_ref(7)? == rusqlite::types::ValueRef::Null {
            return Ok(None);
        }
        view(&moment, row, None).map(Some)
    };
    let found = moment
        .prepare_cached(&latest)?
        .query_row(
            named_params! {
                ":project": place.project, ":namespace": place.namespace, ":key": place.key,
                ":known_seq": known_seq, ":known_time": known_time,
            },
            read,
        )
        .optional()?;
    Ok(found.flatten())
}

/// Every version of an item that the log still has, latest first.
pub(crate) fn item_versions(
    connection: &Connection,
    place: &ItemPlace,
    asked: &Moment,
    (limit, offset): (u32, u32),
) -> rusqlite::Result<ItemVersions> {
    let moment = connection.unchecked_transaction()?;
    let bounds = asked.bounds(&moment)?;
    let all = format!(
        "SELECT i.seq, i.id, i.hash, i.known, {EXPIRES}, i.value IS NULL FROM items i
         WHERE {AT_PLACE} AND i.seq <= :known_seq ORDER BY i.seq DESC LIMIT :limit OFFSET :offset"
    );
    let mut statement = moment.prepare_cached(&all)?;
    let read = |row: &Row<'_>| {
        Ok(ItemVersion {
            version: row.get::<_, i64>(0)?.unsigned_abs(),
            id: row.get(1)?,
            hash: Hash(row.get(2)?).to_string(),
            time: time(row.get(3)?)?,
            deleted: row.get(5)?,
            expires_at: row.get::<_, Option<i64>>(4)?.map(time).transpose()?,
        })
    };
    let mut versions: Vec<ItemVersion> = statement
        .query_map(
            named_params! {
                ":project": place.project, ":namespace": place.namespace, ":key": place.key,
                ":known_seq": bounds.known_seq, ":known_time": bounds.known_time,
                ":limit": i64::from(limit) + 1, ":offset": offset,
            },
            read,
        )?
        .collect::<Result<_, _>>()?;
    let more = versions.len() > limit as usize;
    versions.truncate(limit as usize);
    Ok(ItemVersions { versions, more, applied_seq: applied(&moment)? })
}

/// The versions these items have now, 0 for none, and whether the idempotency key was seen before.
pub(crate) fn standing_items(
    connection: &Connection,
    places: &[ItemPlace],
    asked: &Moment,
    key: Option<&str>,
) -> rusqlite::Result<(Vec<u64>, bool)> {
    let moment = connection.unchecked_transaction()?;
    let bounds = asked.bounds(&moment)?;
    let latest = format!(
        "SELECT CASE WHEN i.value IS NULL OR {EXPIRES} <= :as_of THEN 0 ELSE i.seq END FROM items i
         WHERE {AT_PLACE} ORDER BY i.seq DESC LIMIT 1"
    );
    let mut statement = moment.prepare_cached(&latest)?;
    let mut versions = Vec::with_capacity(places.len());
    for place in places {
        let found: Option<i64> = statement
            .query_row(
                named_params! {
                    ":project": place.project, ":namespace": place.namespace, ":key": place.key,
                    ":known_seq": i64::MAX, ":known_time": i64::MAX, ":as_of": bounds.as_of,
                },
                |row| row.get(0),
            )
            .optional()?;
        versions.push(found.unwrap_or(0).unsigned_abs());
    }
    let repeated = match key {
        None => false,
        Some(key) => moment.prepare_cached("SELECT 1 FROM requests WHERE key = ?1")?.exists([key])?,
    };
    Ok((versions, repeated))
}

/// A checked search for items.
#[derive(Debug, Clone)]
pub(crate) struct ItemSearch {
    pub(crate) project: String,
    /// With full stops between its segments; empty for all.
    pub(crate) prefix: String,
    pub(crate) filter: Filter,
    pub(crate) words: Option<String>,
    pub(crate) moment: Moment,
    pub(crate) limit: u32,
    pub(crate) offset: u32,
}

/// What a search for items comes to.
#[derive(Debug)]
pub(crate) enum Items {
    Found(ItemsAnswer),
    /// The values asked for are more than an answer may hold.
    TooLarge,
    /// More items would have to be looked at than any search may.
    TooMany,
}

/// Items `i` that are there now.
fn standing(prefix: &str) -> String {
    let below = match prefix {
        "" => "",
        // Everything between the full stop and the character after it begins with the prefix and a full stop.
        _ => "AND (i.namespace = :prefix OR i.namespace > :prefix || '.' AND i.namespace < :prefix || '/')",
    };
    format!(
        "i.project = :project {below} AND i.seq <= :known_seq AND i.value IS NOT NULL
         AND ifnull({EXPIRES} > :as_of, 1)
         AND NOT EXISTS (SELECT 1 FROM items l WHERE l.project = i.project AND l.namespace = i.namespace
            AND l.key = i.key AND l.seq > i.seq AND l.seq <= :known_seq)"
    )
}

impl ItemSearch {
    /// The words, when there are any.
    pub(crate) fn asked(&self) -> Option<&str> {
        self.words.as_deref().map(str::trim).filter(|words| !words.is_empty())
    }

    /// Answers from the moment that the connection reads, without words: the last changed first.
    pub(crate) fn newest(&self, connection: &Connection) -> rusqlite::Result<Items> {
        // Where every item counts, no more are needed than are told.
        let told = self.offset as usize + self.limit as usize;
        let most =
            if self.filter.is_empty() { told.min(ITEM_CANDIDATES_MAX) } else { ITEM_CANDIDATES_MAX } + 1;
        let candidates = self.standing(connection, most)?;
        let many = candidates.len() > ITEM_CANDIDATES_MAX;
        let mut page = Page::new(self, connection)?;
        for seq in candidates.into_iter().take(ITEM_CANDIDATES_MAX) {
            if page.put(seq, None, true)? == Full::Yes {
                return page.ended();
            }
        }
        if many { Ok(Items::TooMany) } else { page.ended() }
    }

    /// Answers with these, best first, as far as a catalog or the words themselves have ranked them; with others behind them, the
    /// last changed first, when all are wanted: what has words with the score 0, what has none without one.
    pub(crate) fn ranked(
        &self,
        connection: &Connection,
        ranked: &[(i64, f64)],
        all_are_wanted: bool,
    ) -> rusqlite::Result<Items> {
        let mut page = Page::new(self, connection)?;
        for (seq, score) in ranked {
            // A filter was asked before they were ranked.
            if page.put(*seq, Some(*score), false)? == Full::Yes {
                return page.ended();
            }
        }
        if all_are_wanted {
            let told: BTreeSet<i64> = ranked.iter().map(|(seq, _)| *seq).collect();
            let mut has_words = connection.prepare_cached("SELECT words <> '' FROM items WHERE seq = ?1")?;
            let mut others = Vec::new();
            for seq in self.standing(connection, ITEM_CANDIDATES_MAX)? {
                if !told.contains(&seq) {
                    others.push((has_words.query_row([seq], |row| row.get::<_, bool>(0))?, seq));
                }
            }
            others.sort_by_key(|(has_words, _)| !has_words);
            for (has_words, seq) in others {
                if page.put(seq, has_words.then_some(0.0), true)? == Full::Yes {
                    break;
                }
            }
        }
        page.ended()
    }

    /// The items that the filter asks for, in the order of the log; nothing when it asks for nothing.
    pub(crate) fn filtered(&self, connection: &Connection) -> rusqlite::Result<Option<Filtered>> {
        if self.filter.is_empty() {
            return Ok(None);
        }
        let mut candidates = self.standing(connection, ITEM_CANDIDATES_MAX + 1)?;
        if candidates.len() > ITEM_CANDIDATES_MAX {
            return Ok(Some(Filtered::TooMany));
        }
        let mut value = connection.prepare_cached("SELECT value FROM items WHERE seq = ?1")?;
        let mut fitting = Vec::new();
        candidates.reverse();
        for seq in candidates {
            let fits = value.query_row([seq], |row| self.fits(row.get_ref(0)?.as_str()?))?;
            if fits {
                fitting.push(seq);
            }
        }
        Ok(Some(Filtered::These(fitting)))
    }

    /// The best by their words alone, of those that have any of them: where there is no catalog.
    pub(crate) fn best_by_texts(
        &self,
        connection: &Connection,
        words: &[&str],
        among: Option<&[i64]>,
        count: usize,
    ) -> rusqlite::Result<Vec<(i64, f64)>> {
        let Some(query) = any_of(words) else { return Ok(Vec::new()) };
        let standing = standing(&self.prefix);
        let sql = format!(
            "SELECT i.seq, i.words FROM items_fts f JOIN items i ON i.seq = f.rowid
             WHERE items_fts MATCH :query AND {standing} ORDER BY i.seq DESC"
        );
        let mut texts = Texts::new(&words.join(" "));
        self.each(connection, &sql, &[(":query", &query)], |row| {
            let seq: i64 = row.get(0)?;
            match among.is_none_or(|among| among.binary_search(&seq).is_ok()) {
                true if texts.has_room() => texts.look(seq, &[(row.get_ref(1)?.as_str()?, 1.0)]),
                true => texts.pass(seq),
                false => {}
            }
            Ok(())
        })?;
        let of = "SELECT count(*) FROM items_current c JOIN items i ON i.seq = c.seq WHERE i.project = ?1";
        let of: i64 = connection.prepare_cached(of)?.query_row([&self.project], |row| row.get(0))?;
        let mut best = Best::of(count);
        texts.ranked(of.unsigned_abs(), &mut best);
        // BM25 has no upper end, and scores lie below 1.
        Ok(best.in_order().map(|(seq, score)| (seq, score / (1.0 + score))).collect())
    }

    fn fits(&self, value: &str) -> rusqlite::Result<bool> {
        if self.filter.is_empty() {
            return Ok(true);
        }
        let value = serde_json::from_str(value).map_err(|_| malformed(7))?;
        Ok(self.filter.matches(&value))
    }

    /// What is there now, the last changed first; without the values, which may be large.
    fn standing(&self, connection: &Connection, most: usize) -> rusqlite::Result<Vec<i64>> {
        let standing = standing(&self.prefix);
        let sql = format!("SELECT i.seq FROM items i WHERE {standing} ORDER BY i.seq DESC LIMIT :most");
        let most = i64::try_from(most).expect("a hundred thousand");
        let mut found = Vec::new();
        self.each(connection, &sql, &[(":most", &most)], |row| {
            found.push(row.get(0)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Runs a statement with those of our parameters that it names, and these.
    fn each(
        &self,
        connection: &Connection,
        sql: &str,
        more: &[(&str, &dyn ToSql)],
        mut step: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let bounds = self.moment.bounds(connection)?;
        let ours: [(&str, &dyn ToSql); 5] = [
            (":project", &self.project),
            (":prefix", &self.prefix),
            (":known_seq", &bounds.known_seq),
            (":known_time", &bounds.known_time),
            (":as_of", &bounds.as_of),
        ];
        let mut statement = connection.prepare_cached(sql)?;
        for (name, value) in ours.iter().chain(more) {
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
}

/// What a filter leaves.
#[derive(Debug)]
pub(crate) enum Filtered {
    These(Vec<i64>),
    /// More items would have to be looked at than any search may.
    TooMany,
}

#[derive(Debug, PartialEq, Eq)]
enum Full {
    Yes,
    No,
}

/// An answer that is being filled.
struct Page<'a> {
    search: &'a ItemSearch,
    connection: &'a Connection,
    bounds: Bounds,
    skipped: u32,
    bytes: usize,
    items: Vec<ItemView>,
    more: bool,
    is_too_large: bool,
}

impl<'a> Page<'a> {
    fn new(search: &'a ItemSearch, connection: &'a Connection) -> rusqlite::Result<Page<'a>> {
        let bounds = search.moment.bounds(connection)?;
        let (skipped, bytes, items) = (0, 0, Vec::new());
        Ok(Page { search, connection, bounds, skipped, bytes, items, more: false, is_too_large: false })
    }

    /// Adds the next one, if it is what the filter asks for. Whether the answer ends here.
    fn put(&mut self, seq: i64, score: Option<f64>, filters: bool) -> rusqlite::Result<Full> {
        let filters = filters && !self.search.filter.is_empty();
        if !filters && self.skipped < self.search.offset {
            self.skipped += 1;
            return Ok(Full::No);
        }
        let one = format!("SELECT {} FROM items i WHERE i.seq = :seq", columns());
        let mut statement = self.connection.prepare_cached(&one)?;
        let mut rows = statement.query(named_params! {
            ":seq": seq, ":known_seq": self.bounds.known_seq, ":known_time": self.bounds.known_time,
        })?;
        let Some(row) = rows.next()? else { return Ok(Full::No) };
        if filters && !self.search.fits(row.get_ref(7)?.as_str()?)? {
            return Ok(Full::No);
        }
        if self.skipped < self.search.offset {
            self.skipped += 1;
            return Ok(Full::No);
        }
        if self.items.len() == self.search.limit as usize {
            self.more = true;
            return Ok(Full::Yes);
        }
        let item = view(self.connection, row, score)?;
        self.bytes += item.value.get().len();
        if self.bytes > ANSWER_BYTES_MAX && !self.items.is_empty() {
            self.is_too_large = true;
            return Ok(Full::Yes);
        }
        self.items.push(item);
        Ok(Full::No)
    }

    fn ended(self) -> rusqlite::Result<Items> {
        let Page { items, more, is_too_large, connection, .. } = self;
        let applied_seq = applied(connection)?;
        let answer = ItemsAnswer { items, more, applied_seq, degraded: Vec::new() };
        Ok(if is_too_large { Items::TooLarge } else { Items::Found(answer) })
    }
}

/// A change of the items of a project, as a catalog takes it.
#[derive(Debug)]
pub(crate) struct ItemChange {
    pub(crate) seq: i64,
    /// The version that was there before it.
    pub(crate) replaces: Option<i64>,
    /// The item, when it has words and is there as it was put by this change, and until when.
    pub(crate) put: Option<(MemoryRow, Option<i64>)>,
}

/// At most so many changes of a project's items that came after an event, in order. Whether there are more.
pub(crate) fn item_changes_after(
    connection: &Connection,
    project: &str,
    after: i64,
    limit: usize,
    each: impl FnMut(ItemChange),
) -> rusqlite::Result<bool> {
    changes(connection, project, "1", (after, limit), each)
}

/// The same of what is there now and has words.
pub(crate) fn items_after(
    connection: &Connection,
    project: &str,
    after: i64,
    limit: usize,
    mut each: impl FnMut(&MemoryRow),
) -> rusqlite::Result<bool> {
    let is_there = "i.words <> '' AND NOT EXISTS (SELECT 1 FROM items l WHERE l.project = i.project
        AND l.namespace = i.namespace AND l.key = i.key AND l.seq > i.seq)";
    changes(connection, project, is_there, (after, limit), |change| {
        if let Some((row, _)) = &change.put {
            each(row);
        }
    })
}

fn changes(
    connection: &Connection,
    project: &str,
    which: &str,
    (after, limit): (i64, usize),
    mut each: impl FnMut(ItemChange),
) -> rusqlite::Result<bool> {
    let same = "project = i.project AND namespace = i.namespace AND key = i.key";
    let sql = format!(
        "SELECT i.seq, i.known, i.namespace, i.actor, i.session, {EXPIRES},
                (SELECT max(seq) FROM items WHERE {same} AND seq < i.seq),
                CASE WHEN NOT EXISTS (SELECT 1 FROM items l WHERE l.project = i.project
                    AND l.namespace = i.namespace AND l.key = i.key AND l.seq > i.seq) THEN i.words END
         FROM items i WHERE i.project = :project AND i.seq > :after AND {which} ORDER BY i.seq LIMIT :limit"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = statement.query(named_params! {
        ":project": project, ":after": after, ":limit": wanted, ":known_seq": i64::MAX, ":known_time": i64::MAX,
    })?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        if count == limit {
            return Ok(true);
        }
        count += 1;
        let words: Option<String> = row.get(7)?;
        let words = words.filter(|words| !words.is_empty());
        let until: Option<i64> = row.get(5)?;
        let put = words.map(|words| Ok::<_, rusqlite::Error>((item_row(row, words)?, until))).transpose()?;
        each(ItemChange { seq: row.get(0)?, replaces: row.get(6)?, put });
    }
    Ok(false)
}

/// An item as a catalog takes it: its namespace is its kind.
fn item_row(row: &Row<'_>, words: String) -> rusqlite::Result<MemoryRow> {
    let known: i64 = row.get(1)?;
    Ok(MemoryRow {
        seq: row.get(0)?,
        known,
        // When it is there is said by its versions alone.
        valid_from: i64::MIN,
        occurred: known,
        actor: row.get(3)?,
        kind: row.get(2)?,
        session: row.get(4)?,
        title: String::new(),
        tags: "[]".to_owned(),
        content: words,
    })
}

/// More time that was given to items by events after this one, of all projects: the version, and until when.
pub(crate) fn refreshes_after(
    connection: &Connection,
    after: i64,
    mut each: impl FnMut(&EndRow),
) -> rusqlite::Result<()> {
    let sql = "SELECT seq, item, expires, known FROM refreshes WHERE seq > ?1 ORDER BY seq";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([after])?;
    while let Some(row) = rows.next()? {
        each(&EndRow { seq: row.get(0)?, memory: row.get(1)?, until: row.get(2)?, known: row.get(3)? });
    }
    Ok(())
}

/// Items that have any of these words, of all projects, in the order of the log.
pub(crate) fn items_having_any(
    connection: &Connection,
    words: &[&str],
    each: &mut dyn FnMut(i64),
) -> rusqlite::Result<()> {
    let Some(query) = any_of(words) else { return Ok(()) };
    let sql = "SELECT rowid FROM items_fts WHERE items_fts MATCH ?1 ORDER BY rowid";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([query])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?);
    }
    Ok(())
}

/// Projects that have items, those with the most versions first.
pub(crate) fn item_projects(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT project FROM items GROUP BY project ORDER BY count(*) DESC, 1 LIMIT ?1";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection.prepare_cached(sql)?.query_map([limit], |row| row.get(0))?.collect()
}

/// Namespaces that have items now, in alphabetical order.
pub(crate) fn namespaces(
    connection: &Connection,
    query: &NamespaceQuery,
    asked: &Moment,
    (limit, offset): (u32, u32),
) -> rusqlite::Result<NamespacesAnswer> {
    let moment = connection.unchecked_transaction()?;
    let bounds = asked.bounds(&moment)?;
    let all = format!("SELECT DISTINCT i.namespace FROM items i WHERE {}", standing(""));
    let mut statement = moment.prepare_cached(&all)?;
    let mut rows = statement.query(named_params! {
        ":project": query.project, ":known_seq": bounds.known_seq, ":known_time": bounds.known_time,
        ":as_of": bounds.as_of,
    })?;
    let mut told = BTreeSet::new();
    while let Some(row) = rows.next()? {
        told.extend(query.told(row.get_ref(0)?.as_str().map_err(|_| malformed(0))?));
    }
    let more = told.len() > offset as usize + limit as usize;
    let namespaces = told.into_iter().skip(offset as usize).take(limit as usize).collect();
    Ok(NamespacesAnswer { namespaces, more, applied_seq: applied(&moment)? })
}

/// An item that holds a text, by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemFile {
    pub(crate) key: String,
    pub(crate) version: u64,
    /// Bytes of its text.
    pub(crate) bytes: u64,
}

impl ItemFile {
    pub(crate) fn at(key: String, version: u64) -> ItemFile {
        ItemFile { key, version, bytes: 0 }
    }
}

/// The items of a namespace whose keys begin with this, in alphabetical order; one more than a command takes.
pub(crate) fn files(
    connection: &Connection,
    project: &str,
    namespace: &str,
    prefix: &str,
    asked: &Moment,
) -> rusqlite::Result<Vec<ItemFile>> {
    let moment = connection.unchecked_transaction()?;
    let bounds = asked.bounds(&moment)?;
    let all = format!(
        "SELECT i.key, i.seq, ifnull(octet_length(json_extract(i.value, '$.text')), 0) FROM items i
         WHERE {} AND i.namespace = :namespace AND substr(i.key, 1, length(:begins)) = :begins
         ORDER BY i.key LIMIT {MEMORY_FILES_MAX} + 1",
        standing("")
    );
    let mut statement = moment.prepare_cached(&all)?;
    let file = |row: &Row<'_>| {
        let (version, bytes): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(ItemFile { key: row.get(0)?, version: version.unsigned_abs(), bytes: bytes.unsigned_abs() })
    };
    let parameters = named_params! {
        ":project": project, ":namespace": namespace, ":begins": prefix,
        ":known_seq": bounds.known_seq, ":known_time": bounds.known_time, ":as_of": bounds.as_of,
    };
    statement.query_map(parameters, file)?.collect()
}
