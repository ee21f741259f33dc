//! Queries of the graph: entities, observations and relations valid at a time, and their neighbours.

use std::collections::{BTreeMap, BTreeSet};

use engine_core::graph::phrases;
use engine_core::limits::{ANSWER_BYTES_MAX, GRAPH_NODES_MAX, GRAPH_RELATIONS_MAX};
use engine_core::wire::{Entity, GraphView, Relation};
use engine_core::words::normal_form;
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row};

use super::validity::{Bounds, Moment, VALID_AT};

/// Condition: the row with the alias `$rows` was known.
macro_rules! known {
    ($rows:literal) => {
        concat!($rows, ".seq <= :known_seq AND ", $rows, ".known <= :known_time")
    };
}

/// Condition: no known and effective end of the kind `$what` follows the row with the alias `$rows`.
macro_rules! not_ended {
    ($rows:literal, $what:literal, $subject:expr) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM graph_ends d WHERE d.project = ",
            $rows,
            ".project AND d.what = '",
            $what,
            "' AND ",
            $subject,
            " AND d.seq > ",
            $rows,
            ".seq AND d.until <= :as_of AND ",
            known!("d"),
            ")"
        )
    };
}

/// Condition: entity `e` is valid.
const ENTITY: &str = concat!(
    "e.valid_from <= :since AND ",
    known!("e"),
    " AND ",
    not_ended!("e", "entity", "d.subject = e.name")
);

/// Condition: observation `o` is valid. The end of an entity also ends its observations.
const OBSERVATION: &str = concat!(
    "o.valid_from <= :since AND ",
    known!("o"),
    " AND ",
    not_ended!("o", "observation", "d.subject = o.entity AND d.object = o.content"),
    " AND ",
    not_ended!("o", "entity", "d.subject = o.entity")
);

/// Condition: relation `r` is valid. The end of an entity also ends its relations.
const RELATION: &str = concat!(
    "r.valid_from <= :since AND ",
    known!("r"),
    " AND ",
    not_ended!("r", "relation", "d.subject = r.source AND d.object = r.target AND d.kind = r.kind"),
    " AND ",
    not_ended!("r", "entity", "d.subject IN (r.source, r.target)")
);

/// A project at a moment.
struct View<'a> {
    connection: &'a Connection,
    project: &'a str,
    bounds: Bounds,
    /// Rows whose validity begins after this time are not visible.
    since: i64,
}

impl View<'_> {
    /// Runs a statement with the parameters `more` and with the view's parameters that the statement uses.
    fn each<T>(
        &self,
        sql: &str,
        more: &[(&str, &dyn ToSql)],
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let ours: [(&str, &dyn ToSql); 5] = [
            (":project", &self.project),
            (":since", &self.since),
            (":as_of", &self.bounds.as_of),
            (":known_seq", &self.bounds.known_seq),
            (":known_time", &self.bounds.known_time),
        ];
        for (name, value) in ours.iter().chain(more) {
            if let Some(place) = statement.parameter_index(name)? {
                statement.raw_bind_parameter(place, value)?;
            }
        }
        let mut rows = statement.raw_query();
        let mut answer = Vec::new();
        while let Some(row) = rows.next()? {
            answer.push(read(row)?);
        }
        Ok(answer)
    }

    /// The entities and their kinds. If several rows have the same name, the latest row is used.
    fn entities(&self, which: &str, more: &[(&str, &dyn ToSql)]) -> rusqlite::Result<Vec<Entity>> {
        let sql = format!(
            "SELECT e.name, e.kind, max(e.seq) FROM entities e
             WHERE e.project = :project AND {ENTITY} AND {which} GROUP BY e.name ORDER BY e.name LIMIT :limit"
        );
        self.each(&sql, more, |row| {
            Ok(Entity { name: row.get(0)?, entity_type: row.get(1)?, observations: Vec::new() })
        })
    }

    /// Adds the observations to each entity. Returns whether they fit into one answer.
    fn observe(&self, entities: &mut [Entity]) -> rusqlite::Result<bool> {
        let sql = format!(
            "SELECT o.content FROM observations o WHERE o.project = :project AND o.entity = :entity AND {OBSERVATION}
             GROUP BY o.content ORDER BY min(o.seq), min(o.place)"
        );
        let mut bytes = 0;
        for (place, entity) in entities.iter_mut().enumerate() {
            let found = self.each(&sql, &[(":entity", &entity.name)], |row| row.get::<_, String>(0))?;
            bytes += found.iter().map(String::len).sum::<usize>();
            if bytes > ANSWER_BYTES_MAX && place > 0 {
                return Ok(false);
            }
            entity.observations = found;
        }
        Ok(true)
    }

    /// The relations that start at the entities in `names` and, if `both_ways`, the relations that end at them. Returns
    /// at most `GRAPH_RELATIONS_MAX` + 1 relations.
    fn relations(&self, names: &BTreeSet<&str>, both_ways: bool) -> rusqlite::Result<Vec<Relation>> {
        let one_way = |end: &str| {
            format!(
                "SELECT r.source, r.target, r.kind FROM relations r
                 WHERE r.project = :project AND {end} IN (SELECT value FROM json_each(:names)) AND {RELATION}"
            )
        };
        let mut sql = one_way("r.source");
        if both_ways {
            sql = format!("{sql} UNION {}", one_way("r.target"));
        }
        let sql = format!("SELECT DISTINCT * FROM ({sql}) ORDER BY 1, 3, 2 LIMIT {GRAPH_RELATIONS_MAX} + 1");
        self.each(&sql, &[(":names", &json(names))], |row| {
            Ok(Relation { from: row.get(0)?, to: row.get(1)?, relation_type: row.get(2)? })
        })
    }

    fn answer(&self, mut entities: Vec<Entity>, limit: u32, both_ways: bool) -> rusqlite::Result<Graph> {
        let more = entities.len() > limit as usize;
        entities.truncate(limit as usize);
        let fits = self.observe(&mut entities)?;
        let names = entities.iter().map(|entity| entity.name.as_str()).collect();
        let relations = self.relations(&names, both_ways)?;
        if !fits || relations.len() > GRAPH_RELATIONS_MAX {
            return Ok(Graph::TooLarge);
        }
        let next = if more { entities.last().map(|entity| entity.name.clone()) } else { None };
        let applied_seq = self.each("SELECT seq FROM applied", &[], |row| row.get::<_, i64>(0))?;
        let applied_seq = applied_seq.first().map_or(0, |seq| seq.unsigned_abs());
        Ok(Graph::Found(GraphView { entities, relations, next, applied_seq }))
    }

    /// The entities within `depth` relations of the entities in `seeds`, with their distances, nearest first, at most
    /// [`GRAPH_NODES_MAX`]. The seeds are included with distance 0.
    fn walk(
        &self,
        seeds: impl IntoIterator<Item = String>,
        depth: u32,
    ) -> rusqlite::Result<Vec<(String, u32)>> {
        let most = GRAPH_NODES_MAX as usize;
        let mut frontier: BTreeSet<String> = seeds.into_iter().collect();
        let mut hops: BTreeMap<String, u32> = BTreeMap::new();
        let sql = format!(
            "SELECT DISTINCT * FROM (
                SELECT r.target FROM relations r
                WHERE r.project = :project AND r.source IN (SELECT value FROM json_each(:names)) AND {RELATION}
                UNION ALL
                SELECT r.source FROM relations r
                WHERE r.project = :project AND r.target IN (SELECT value FROM json_each(:names)) AND {RELATION}
             ) LIMIT 2 * {GRAPH_NODES_MAX}"
        );
        for hop in 0..=depth {
            let room = most - hops.len();
            let new: Vec<String> = frontier.iter().take(room).cloned().collect();
            hops.extend(new.iter().map(|name| (name.clone(), hop)));
            if hop == depth || new.is_empty() {
                break;
            }
            let found = self.each(&sql, &[(":names", &json(&new))], |row| row.get::<_, String>(0))?;
            frontier = found.into_iter().filter(|name| !hops.contains_key(name)).collect();
        }
        let mut near: Vec<(String, u32)> = hops.into_iter().collect();
        near.sort_by(|(one, one_hops), (other, other_hops)| (one_hops, one).cmp(&(other_hops, other)));
        Ok(near)
    }
}

fn json(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).expect("texts and numbers are always JSON")
}

/// Result of a graph query.
#[derive(Debug)]
pub enum Graph {
    Found(GraphView),
    /// The result has more relations or observations than fit into an answer.
    TooLarge,
}

/// A page of entities, ordered by name.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Last name of the previous page.
    pub after: Option<String>,
    /// Maximum number of entities.
    pub limit: u32,
}

fn seen<'a>(connection: &'a Connection, project: &'a str, at: &Moment) -> rusqlite::Result<View<'a>> {
    let bounds = at.bounds(connection)?;
    Ok(View { connection, project, bounds, since: bounds.as_of })
}

/// A page of the whole graph.
///
/// # Errors
/// A query fails.
pub fn graph(connection: &Connection, project: &str, pages: &Pages, at: &Moment) -> rusqlite::Result<Graph> {
    let moment = connection.unchecked_transaction()?;
    let view = seen(&moment, project, at)?;
    let limit = i64::from(pages.limit) + 1;
    let after = pages.after.as_deref().unwrap_or_default();
    let entities = view.entities("e.name > :after", &[(":after", &after), (":limit", &limit)])?;
    view.answer(entities, pages.limit, false)
}

/// The entities with these names.
///
/// # Errors
/// A query fails.
pub fn opened(
    connection: &Connection,
    project: &str,
    names: &[String],
    at: &Moment,
) -> rusqlite::Result<Graph> {
    let moment = connection.unchecked_transaction()?;
    let view = seen(&moment, project, at)?;
    view.answer(view.named(names)?, GRAPH_NODES_MAX, true)
}

/// A page of the entities whose name, kind or observations contain the searched text, ignoring case.
///
/// # Errors
/// A query fails.
pub fn searched(
    connection: &Connection,
    project: &str,
    text: &str,
    pages: &Pages,
    at: &Moment,
) -> rusqlite::Result<Graph> {
    let moment = connection.unchecked_transaction()?;
    let view = seen(&moment, project, at)?;
    let lower = |text: &str| normal_form(text).to_lowercase();
    let wanted = lower(text);
    let has = |text: &str| lower(text).contains(&wanted);
    let mut found = BTreeSet::new();
    // SQLite ignores case only for ASCII, so every text is compared here instead. The time limit of reads limits how
    // long this takes.
    let entities = format!("SELECT e.name, e.kind FROM entities e WHERE e.project = :project AND {ENTITY}");
    view.each(&entities, &[], |row| {
        let name: String = row.get(0)?;
        if has(&name) || has(row.get_ref(1)?.as_str()?) {
            found.insert(name);
        }
        Ok(())
    })?;
    let observations = format!(
        "SELECT o.entity, o.content FROM observations o WHERE o.project = :project AND {OBSERVATION}"
    );
    view.each(&observations, &[], |row| {
        if has(row.get_ref(1)?.as_str()?) {
            found.insert(row.get::<_, String>(0)?);
        }
        Ok(())
    })?;
    let after = pages.after.as_deref().unwrap_or_default();
    let names: Vec<String> = found.into_iter().filter(|name| name.as_str() > after).collect();
    let page = &names[..names.len().min(pages.limit as usize + 1)];
    view.answer(view.named(page)?, pages.limit, true)
}

impl View<'_> {
    fn named(&self, names: &[String]) -> rusqlite::Result<Vec<Entity>> {
        let which = "e.name IN (SELECT value FROM json_each(:names))";
        self.entities(which, &[(":names", &json(names)), (":limit", &-1)])
    }
}

/// The entities within a number of relations of the start entities, in either direction, with their distances, nearest
/// first, at most [`GRAPH_NODES_MAX`]. The start entities are included with distance 0.
///
/// # Errors
/// A query fails.
pub fn neighbours(
    connection: &Connection,
    project: &str,
    seeds: &[String],
    depth: u32,
    at: &Moment,
) -> rusqlite::Result<Vec<(String, u32)>> {
    let moment = connection.unchecked_transaction()?;
    seen(&moment, project, at)?.walk(seeds.iter().cloned(), depth)
}

/// The memories that mention entities near the entities named in `question`. Returns the sequence number of each memory
/// and its score 1/(1 + d), where d is the smallest number of relations between a named entity and an entity that the
/// memory mentions. Best first, the newest first among equals, at most `limit`. Entities more than `depth` relations
/// away are not considered.
///
/// An entity is named when the words of its name occur consecutively in the question, ignoring case. Names that
/// memories mention count too, even if no entity has the name. Without a project, each project is searched separately.
///
/// # Errors
/// A query fails.
pub fn memories_near(
    connection: &Connection,
    project: Option<&str>,
    question: &str,
    depth: u32,
    at: &Moment,
    limit: u32,
) -> rusqlite::Result<Vec<(i64, f64)>> {
    let moment = connection.unchecked_transaction()?;
    memories_near_at(&moment, project, question, depth, at, limit)
}

/// Like [`memories_near`], in the caller's transaction.
///
/// # Errors
/// A query fails.
pub fn memories_near_at(
    moment: &Connection,
    project: Option<&str>,
    question: &str,
    depth: u32,
    at: &Moment,
    limit: u32,
) -> rusqlite::Result<Vec<(i64, f64)>> {
    // Return early, because in most engines no memory mentions an entity.
    if !moment.prepare_cached("SELECT 1 FROM mentions LIMIT 1")?.exists([])? {
        return Ok(Vec::new());
    }
    let view = seen(moment, project.unwrap_or_default(), at)?;
    let mut near = Vec::new();
    for (project, seeds) in named_in(&view, project, question)? {
        let view = View { project: &project, ..view };
        near.extend(view.mentioning(&view.walk(seeds, depth)?, limit)?);
    }
    near.sort_by_key(|(memory, hops)| (*hops, std::cmp::Reverse(*memory)));
    near.truncate(limit as usize);
    Ok(near.into_iter().map(|(memory, hops)| (memory, 1.0 / (1.0 + f64::from(hops)))).collect())
}

/// The entity names that occur in `question`, by project.
fn named_in(
    view: &View<'_>,
    project: Option<&str>,
    question: &str,
) -> rusqlite::Result<BTreeMap<String, BTreeSet<String>>> {
    let wanted = "IN (SELECT value FROM json_each(:phrases)) AND (:wanted IS NULL OR";
    let sql = format!(
        "SELECT e.project, e.name FROM entities e WHERE e.folded {wanted} e.project = :wanted) AND {ENTITY}
         UNION SELECT t.project, t.name FROM mentions t WHERE t.folded {wanted} t.project = :wanted)
         LIMIT {GRAPH_NODES_MAX}"
    );
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    view.each(&sql, &[(":phrases", &json(phrases(question))), (":wanted", &project)], |row| {
        found.entry(row.get(0)?).or_default().insert(row.get(1)?);
        Ok(())
    })?;
    Ok(found)
}

impl View<'_> {
    /// The valid memories that mention an entity in `near`, each with the distance of the nearest mentioned entity.
    fn mentioning(&self, near: &[(String, u32)], limit: u32) -> rusqlite::Result<Vec<(i64, u32)>> {
        let near: Vec<(String, &str, u32)> = near
            .iter()
            .map(|(name, hops)| (engine_core::graph::folded(name), name.as_str(), *hops))
            .collect();
        // Names without words are folded to an empty text, so they are compared unfolded.
        let sql = format!(
            "SELECT m.seq, min(json_extract(n.value, '$[2]')) AS hops FROM json_each(:near) n
             JOIN mentions t ON t.project = :project AND t.folded = json_extract(n.value, '$[0]')
                AND (t.folded <> '' OR t.name = json_extract(n.value, '$[1]'))
             JOIN memories m ON m.seq = t.memory
             WHERE {VALID_AT} GROUP BY m.seq ORDER BY hops, m.seq DESC LIMIT :limit"
        );
        self.each(&sql, &[(":near", &json(near)), (":limit", &limit)], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

/// The names of the entities that a memory mentions.
pub(super) fn mentioned(connection: &Connection, memory: i64) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM mentions WHERE memory = ?1 ORDER BY place";
    connection.prepare_cached(sql)?.query_map([memory], |row| row.get(0))?.collect()
}

/// The rows to which a write refers: those that the write needs, or those of them that exist.
#[derive(Debug, Default)]
pub struct ExistingGraph {
    /// Names of existing entities.
    pub entities: BTreeSet<String>,
    /// Names for which a row exists: an entity, an observation, or a relation from or to the name.
    pub attached: BTreeSet<String>,
    /// Entity and content of each observation.
    pub observations: BTreeSet<(String, String)>,
    pub relations: BTreeSet<Relation>,
    /// Whether an earlier request had the same idempotency key.
    pub repeated: bool,
}

impl ExistingGraph {
    /// Looks up which of the `wanted` rows exist, in one snapshot. Rows whose validity begins later count as existing.
    ///
    /// # Errors
    /// A query fails.
    pub fn read(
        connection: &Connection,
        project: &str,
        wanted: &ExistingGraph,
        at: &Moment,
        key: Option<&str>,
    ) -> rusqlite::Result<ExistingGraph> {
        let moment = connection.unchecked_transaction()?;
        let view = View { since: i64::MAX, ..seen(&moment, project, at)? };
        let entities = format!(
            "SELECT DISTINCT e.name FROM json_each(:wanted) w
             JOIN entities e ON e.project = :project AND e.name = w.value WHERE {ENTITY}"
        );
        let attached = format!(
            "SELECT DISTINCT w.value FROM json_each(:wanted) w
             WHERE EXISTS (SELECT 1 FROM entities e WHERE e.project = :project AND e.name = w.value AND {ENTITY})
                OR EXISTS (SELECT 1 FROM observations o
                    WHERE o.project = :project AND o.entity = w.value AND {OBSERVATION})
                OR EXISTS (SELECT 1 FROM relations r
                    WHERE r.project = :project AND r.source = w.value AND {RELATION})
                OR EXISTS (SELECT 1 FROM relations r
                    WHERE r.project = :project AND r.target = w.value AND {RELATION})"
        );
        let observations = format!(
            "SELECT DISTINCT o.entity, o.content FROM json_each(:wanted) w
             JOIN observations o ON o.project = :project AND o.entity = json_extract(w.value, '$[0]')
                AND o.content = json_extract(w.value, '$[1]') WHERE {OBSERVATION}"
        );
        let relations = format!(
            "SELECT DISTINCT r.source, r.target, r.kind FROM json_each(:wanted) w
             JOIN relations r ON r.project = :project AND r.source = json_extract(w.value, '$.from')
                AND r.target = json_extract(w.value, '$.to') AND r.kind = json_extract(w.value, '$.relationType')
             WHERE {RELATION}"
        );
        let entities = view.each(&entities, &[(":wanted", &json(&wanted.entities))], |row| row.get(0))?;
        let attached = view.each(&attached, &[(":wanted", &json(&wanted.attached))], |row| row.get(0))?;
        let observed = &[(":wanted", &json(&wanted.observations) as &dyn ToSql)];
        let observations = view.each(&observations, observed, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let relations = view.each(&relations, &[(":wanted", &json(&wanted.relations))], relation)?;
        let repeated = match key {
            None => false,
            Some(key) => moment.prepare_cached("SELECT 1 FROM requests WHERE key = ?1")?.exists([key])?,
        };
        Ok(ExistingGraph {
            entities: entities.into_iter().collect(),
            attached: attached.into_iter().collect(),
            observations: observations.into_iter().collect(),
            relations: relations.into_iter().collect(),
            repeated,
        })
    }
}

pub(super) fn relation(row: &Row<'_>) -> rusqlite::Result<Relation> {
    Ok(Relation { from: row.get(0)?, to: row.get(1)?, relation_type: row.get(2)? })
}
