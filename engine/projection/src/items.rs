//! Items: the index of their words, and the queries that read them.

use std::collections::BTreeSet;

use engine_core::digest::Hash;
use engine_core::limits::MEMORY_FILES_MAX;
use engine_core::request::NamespaceQuery;
use engine_core::row::Value;
use engine_core::wire::{ItemVersion, ItemVersions, ItemView, NamespacesAnswer};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params};
use serde_json::value::RawValue;

use super::validity::{Bounds, Moment};
use super::values::{IDS, malformed, time_of};

/// Address of an item, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemPlace {
    pub project: String,
    /// Segments joined with full stops.
    pub namespace: String,
    pub key: String,
}

const AT: &str = "project = ?1 AND namespace = ?2 AND key = ?3";

impl ItemPlace {
    fn parameters(&self) -> [&str; 3] {
        [&self.project, &self.namespace, &self.key]
    }

    /// The latest version before event `before`: its number, and its words if it has any.
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

/// Adds the words of an inserted version to the full-text index, and removes the words of the previous version.
pub(super) fn index(transaction: &Transaction<'_>, row: &[Value]) -> rusqlite::Result<()> {
    // Column order of `engine_core::item`.
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

/// Removes the words of the items that have a version among the events `ids` from the full-text index. Returns these
/// items.
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

/// Adds the words of the latest remaining version of each item to the full-text index again.
pub(super) fn reindex(transaction: &Transaction<'_>, places: &[ItemPlace]) -> rusqlite::Result<()> {
    places.iter().try_for_each(|place| give_words(transaction, place.latest(transaction, i64::MAX)?))
}

/// Reads the columns listed by [`columns`].
pub(super) fn view(connection: &Connection, row: &Row<'_>, score: Option<f64>) -> rusqlite::Result<ItemView> {
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
        created_at: time_of(created)?,
        updated_at: time_of(row.get(5)?)?,
        expires_at: row.get::<_, Option<i64>>(6)?.map(time_of).transpose()?,
        score,
    })
}

/// SQL expression: the expiry of version `i`, as it was last set.
pub(super) const EXPIRES: &str = "ifnull((SELECT r.expires FROM refreshes r
        WHERE r.item = i.seq AND r.seq <= :known_seq AND r.known <= :known_time ORDER BY r.seq DESC LIMIT 1), i.expires)";

/// Columns of a version `i` that [`view`] reads.
pub(super) fn columns() -> String {
    format!("i.seq, i.id, i.hash, i.namespace, i.key, i.known, {EXPIRES}, i.value, i.project")
}

const AT_PLACE: &str = "i.project = :project AND i.namespace = :namespace AND i.key = :key";

/// A version of an item with a time to live.
#[derive(Debug, Clone, Copy)]
pub struct ExpiringVersion {
    /// Number of the version's event.
    pub version: u64,
    /// Expiry, in microseconds since 1970.
    pub until: i64,
    /// Time to live in microseconds; a read that extends the lifetime restarts it.
    pub ttl: i64,
}

/// The versions in `versions` that have a time to live.
///
/// # Errors
/// The query fails.
pub fn timed(connection: &Connection, versions: &[u64]) -> rusqlite::Result<Vec<ExpiringVersion>> {
    let versions = serde_json::to_string(versions).expect("a list of numbers is always JSON");
    let sql = format!(
        "SELECT i.seq, {EXPIRES}, i.ttl * 1000 FROM items i WHERE i.seq IN (SELECT value FROM json_each(:versions))
         AND i.ttl IS NOT NULL AND i.expires IS NOT NULL"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let read = |row: &Row<'_>| {
        let version: i64 = row.get(0)?;
        Ok(ExpiringVersion { version: version.unsigned_abs(), until: row.get(1)?, ttl: row.get(2)? })
    };
    let parameters = named_params! {":versions": versions, ":known_seq": i64::MAX, ":known_time": i64::MAX};
    statement.query_map(parameters, read)?.collect()
}

pub(super) fn applied(connection: &Connection) -> rusqlite::Result<u64> {
    let seq: i64 = connection.prepare_cached("SELECT seq FROM applied")?.query_row([], |row| row.get(0))?;
    Ok(seq.unsigned_abs())
}

/// The item at `place` as known at moment `at`. With `past`, an expired item is returned too.
///
/// # Errors
/// A query fails.
pub fn item(
    connection: &Connection,
    place: &ItemPlace,
    at: &Moment,
    past: bool,
) -> rusqlite::Result<Option<ItemView>> {
    let moment = connection.unchecked_transaction()?;
    let Bounds { as_of, known_seq, known_time, .. } = at.bounds(&moment)?;
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

/// A page of the versions of an item that were not forgotten, latest first: at most `limit` versions, after the first
/// `offset` versions.
///
/// # Errors
/// A query fails.
pub fn item_versions(
    connection: &Connection,
    place: &ItemPlace,
    at: &Moment,
    (limit, offset): (u32, u32),
) -> rusqlite::Result<ItemVersions> {
    let moment = connection.unchecked_transaction()?;
    let bounds = at.bounds(&moment)?;
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
            time: time_of(row.get(3)?)?,
            deleted: row.get(5)?,
            expires_at: row.get::<_, Option<i64>>(4)?.map(time_of).transpose()?,
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

/// The current version of each item in `places` (0 if the item does not exist), and whether an earlier request had the
/// idempotency key `key`.
///
/// # Errors
/// A query fails.
pub fn standing_items(
    connection: &Connection,
    places: &[ItemPlace],
    at: &Moment,
    key: Option<&str>,
) -> rusqlite::Result<(Vec<u64>, bool)> {
    let moment = connection.unchecked_transaction()?;
    let bounds = at.bounds(&moment)?;
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

/// Condition: item `i` currently exists.
pub(super) fn standing(prefix: &str) -> String {
    let below = match prefix {
        "" => "",
        // '/' is the character after the full stop, so this range holds everything that begins with the prefix and a
        // full stop.
        _ => "AND (i.namespace = :prefix OR i.namespace > :prefix || '.' AND i.namespace < :prefix || '/')",
    };
    format!(
        "i.project = :project {below} AND i.seq <= :known_seq AND i.value IS NOT NULL
         AND ifnull({EXPIRES} > :as_of, 1)
         AND NOT EXISTS (SELECT 1 FROM items l WHERE l.project = i.project AND l.namespace = i.namespace
            AND l.key = i.key AND l.seq > i.seq AND l.seq <= :known_seq)"
    )
}

/// The namespaces that currently contain items, in alphabetical order.
///
/// # Errors
/// The query fails.
pub fn namespaces(
    connection: &Connection,
    query: &NamespaceQuery,
    at: &Moment,
    (limit, offset): (u32, u32),
) -> rusqlite::Result<NamespacesAnswer> {
    let moment = connection.unchecked_transaction()?;
    let bounds = at.bounds(&moment)?;
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

/// An item that stores a text, addressed by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemFile {
    pub key: String,
    /// Number of the version's event.
    pub version: u64,
    /// Size of its text in bytes.
    pub bytes: u64,
}

impl ItemFile {
    /// An item without its size.
    pub fn at(key: String, version: u64) -> ItemFile {
        ItemFile { key, version, bytes: 0 }
    }
}

/// Items of a namespace whose keys begin with `prefix`, in alphabetical order. Returns at most one item more than a
/// command accepts.
///
/// # Errors
/// The query fails.
pub fn files(
    connection: &Connection,
    project: &str,
    namespace: &str,
    prefix: &str,
    at: &Moment,
) -> rusqlite::Result<Vec<ItemFile>> {
    let moment = connection.unchecked_transaction()?;
    let bounds = at.bounds(&moment)?;
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
