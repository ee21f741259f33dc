//! Items: the words they are found by, and the queries.

use engine_core::digest::Hash;
use engine_core::filter::Filter;
use engine_core::limits::{ANSWER_BYTES_MAX, ITEM_CANDIDATES_MAX, MEMORY_FILES_MAX};
use engine_core::query::any_of;
use engine_core::request::NamespaceQuery;
use engine_core::row::Value;
use engine_core::wire::{ItemVersion, ItemVersions, ItemView, ItemsAnswer, NamespacesAnswer};
use engine_core::words::terms::Terms;
use engine_core::words::words as cut;
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};
use serde_json::value::RawValue;

use super::forgetting::IDS;
use super::search::malformed;
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
    let delete = "INSERT INTO items_fts (items_fts, rowid, words) VALUES ('delete', ?1, terms(?2))";
    connection.prepare_cached(delete)?.execute((seq, words)).map(drop)
}

fn give_words(connection: &Connection, found: Option<(i64, Option<String>)>) -> rusqlite::Result<()> {
    let Some((seq, Some(words))) = found else { return Ok(()) };
    let insert = "INSERT INTO items_fts (rowid, words) VALUES (?1, terms(?2))";
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

/// Reads what the columns of [`ITEM`] say.
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

const ITEM: &str = "seq, id, hash, namespace, key, known, expires, value, project";

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
    let [project, namespace, key] = place.parameters();
    let latest = format!(
        "SELECT {ITEM} FROM items WHERE {AT} AND seq <= ?4 AND known <= ?5 ORDER BY seq DESC LIMIT 1"
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
        .query_row((project, namespace, key, known_seq, known_time), read)
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
    let known_seq = asked.bounds(&moment)?.known_seq;
    let [project, namespace, key] = place.parameters();
    let all = format!(
        "SELECT seq, id, hash, known, expires, value IS NULL FROM items WHERE {AT} AND seq <= ?4
         ORDER BY seq DESC LIMIT ?5 OFFSET ?6"
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
        .query_map((project, namespace, key, known_seq, i64::from(limit) + 1, offset), read)?
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
        "SELECT CASE WHEN value IS NULL OR expires <= ?4 THEN 0 ELSE seq END FROM items WHERE {AT}
         ORDER BY seq DESC LIMIT 1"
    );
    let mut statement = moment.prepare_cached(&latest)?;
    let mut versions = Vec::with_capacity(places.len());
    for place in places {
        let [project, namespace, key] = place.parameters();
        let found: Option<i64> =
            statement.query_row((project, namespace, key, bounds.as_of), |row| row.get(0)).optional()?;
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
         AND (i.expires IS NULL OR i.expires > :as_of)
         AND NOT EXISTS (SELECT 1 FROM items l WHERE l.project = i.project AND l.namespace = i.namespace
            AND l.key = i.key AND l.seq > i.seq AND l.seq <= :known_seq)"
    )
}

impl ItemSearch {
    /// Answers from one moment of the projection.
    pub(crate) fn run(&self, connection: &Connection) -> rusqlite::Result<Items> {
        let moment = connection.unchecked_transaction()?;
        let applied_seq = applied(&moment)?;
        let candidates = self.candidates(&moment)?;
        let one = format!("SELECT {ITEM} FROM items WHERE seq = ?1");
        let mut statement = moment.prepare_cached(&one)?;
        let (mut skipped, mut bytes, mut items) = (0, 0, Vec::new());
        for (seq, score) in candidates.iter().take(ITEM_CANDIDATES_MAX) {
            let mut rows = statement.query([seq])?;
            let Some(row) = rows.next()? else { continue };
            if !self.fits(row)? {
                continue;
            }
            if skipped < self.offset {
                skipped += 1;
                continue;
            }
            if items.len() == self.limit as usize {
                return Ok(Items::Found(ItemsAnswer { items, more: true, applied_seq }));
            }
            let item = view(&moment, row, *score)?;
            bytes += item.value.get().len();
            if bytes > ANSWER_BYTES_MAX && !items.is_empty() {
                return Ok(Items::TooLarge);
            }
            items.push(item);
        }
        match candidates.len() > ITEM_CANDIDATES_MAX {
            true => Ok(Items::TooMany),
            false => Ok(Items::Found(ItemsAnswer { items, more: false, applied_seq })),
        }
    }

    fn fits(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        if self.filter.is_empty() {
            return Ok(true);
        }
        let value = row.get_ref(7)?.as_str().map_err(|_| malformed(7))?;
        Ok(self.filter.matches(&serde_json::from_str(value).map_err(|_| malformed(7))?))
    }

    /// In the order they are told; ordered without their values, which may be large.
    fn candidates(&self, connection: &Connection) -> rusqlite::Result<Vec<(i64, Option<f64>)>> {
        let query = match self.words.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(words) => match any_word(words) {
                Some(query) => Some(query),
                // Marks only: nothing has them as words.
                None => return Ok(Vec::new()),
            },
        };
        let standing = standing(&self.prefix);
        let sql = match query {
            Some(_) => format!(
                "SELECT i.seq, -bm25(items_fts) AS score FROM items_fts f JOIN items i ON i.seq = f.rowid
                 WHERE items_fts MATCH :query AND {standing} ORDER BY score DESC, i.seq DESC LIMIT :most"
            ),
            None => {
                format!("SELECT i.seq, NULL FROM items i WHERE {standing} ORDER BY i.seq DESC LIMIT :most")
            }
        };
        let bounds = self.moment.bounds(connection)?;
        // Where every candidate counts, no more are needed than are told.
        let told = self.offset as usize + self.limit as usize;
        let most =
            if self.filter.is_empty() { told.min(ITEM_CANDIDATES_MAX) } else { ITEM_CANDIDATES_MAX } + 1;
        let most = i64::try_from(most).expect("a hundred thousand");
        let all: [(&str, &dyn ToSql); 6] = [
            (":query", &query),
            (":project", &self.project),
            (":prefix", &self.prefix),
            (":known_seq", &bounds.known_seq),
            (":as_of", &bounds.as_of),
            (":most", &most),
        ];
        let mut statement = connection.prepare_cached(&sql)?;
        for (name, value) in all {
            if let Some(place) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(place, value)?;
            }
        }
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push((row.get(0)?, row.get(1)?));
        }
        Ok(found)
    }
}

/// The full-text query for items that have at least one of these words: who asks a store asks in sentences.
fn any_word(words: &str) -> Option<String> {
    let (terms, mut each) = (Terms::default(), Vec::new());
    cut(words, |word| terms.of_word(word, |term| each.push(term.to_owned())));
    any_of(&each)
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
        ":project": query.project, ":known_seq": bounds.known_seq, ":as_of": bounds.as_of,
    })?;
    let mut told = std::collections::BTreeSet::new();
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
        ":known_seq": bounds.known_seq, ":as_of": bounds.as_of,
    };
    statement.query_map(parameters, file)?.collect()
}
