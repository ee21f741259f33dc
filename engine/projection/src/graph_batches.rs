//! Queries what a batch of events added to the graph, and how many elements of the graph it ended.

use std::collections::BTreeMap;

use engine_core::wire::{Entity, Relation};
use rusqlite::{Connection, Row};

use super::graph::relation;

/// First and last event of a batch.
pub(crate) type Batch = (i64, i64);

/// The entities created by a batch, each with the observations that the same batch created.
///
/// # Errors
/// A query fails.
pub fn entities_in(connection: &Connection, batch: Batch) -> rusqlite::Result<Vec<Entity>> {
    let moment = connection.unchecked_transaction()?;
    let mut observed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (entity, content) in observations_in(&moment, batch)? {
        observed.entry(entity).or_default().push(content);
    }
    let mut statement =
        moment.prepare_cached("SELECT name, kind FROM entities WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq")?;
    let entity = |row: &Row<'_>| {
        let name: String = row.get(0)?;
        let observations = observed.remove(&name).unwrap_or_default();
        Ok(Entity { name, entity_type: row.get(1)?, observations })
    };
    statement.query_map(batch, entity)?.collect()
}

/// The observations created by a batch: the name of the entity, and the content.
///
/// # Errors
/// The query fails.
pub fn observations_in(connection: &Connection, batch: Batch) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT entity, content FROM observations WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq, place";
    connection.prepare_cached(sql)?.query_map(batch, |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The relations created by a batch.
///
/// # Errors
/// The query fails.
pub fn relations_in(connection: &Connection, batch: Batch) -> rusqlite::Result<Vec<Relation>> {
    let sql = "SELECT source, target, kind FROM relations WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq";
    connection.prepare_cached(sql)?.query_map(batch, relation)?.collect()
}

/// Number of entities, observations and relations that a batch ended.
///
/// # Errors
/// The query fails.
pub fn ended_in(connection: &Connection, batch: Batch) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM graph_ends WHERE seq BETWEEN ?1 AND ?2";
    connection.prepare_cached(sql)?.query_row(batch, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}
