//! Finds memories that retention rules may remove. Uses indexes on age and count instead of reading all memories of a
//! project.

use std::collections::BTreeMap;

use engine_core::retention::{Candidate, ProjectState, limits};
use engine_core::wire::{RetentionAction, RetentionRules};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, named_params};

use super::values::sql;

/// Candidates at one position of the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Candidates by project.
    pub states: Vec<ProjectState>,
    /// Whether there are more candidates than requested. `states` then contains the oldest candidates of each project.
    pub more: bool,
}

/// SQL condition that selects the memories to which the action `action` applies: for invalidation, memories that have
/// not ended; for forgetting, all memories.
fn standing(action: RetentionAction) -> &'static str {
    match action {
        RetentionAction::Forget => "TRUE",
        RetentionAction::Invalidate => {
            "NOT EXISTS (SELECT 1 FROM invalidations i WHERE i.memory = m.seq AND i.seq <= :through AND i.until <= :now)"
        }
    }
}

/// At most `max` memories that the rules `rules` may remove at time `as_of`, in the log up to event `through`.
///
/// # Errors
/// A query fails.
pub fn candidates(
    connection: &Connection,
    rules: &RetentionRules,
    as_of: Timestamp,
    through: u64,
    max: usize,
) -> rusqlite::Result<Candidates> {
    let moment = connection.unchecked_transaction()?;
    let (through, now) = (sql(through), engine_core::row::microseconds(as_of));
    let standing = standing(rules.action);
    let total = format!(
        "SELECT count(*) FROM memories m WHERE m.project = :project AND m.seq <= :through AND :now = :now AND {standing}"
    );
    let kept = format!(
        "SELECT m.seq FROM memories m WHERE m.project = :project AND m.seq <= :through AND :now = :now AND {standing}
         ORDER BY m.seq DESC LIMIT 1 OFFSET :newer"
    );
    let old = format!(
        "SELECT m.seq, m.id, m.known, octet_length(m.content) FROM memories m
         WHERE m.project = :project AND m.seq <= :through AND m.seq <= :last AND :now = :now
           AND (m.known < :cutoff OR m.seq < :first) AND {standing} ORDER BY m.seq LIMIT :limit"
    );
    let mut found = Candidates::default();
    let mut left = max;
    // The clock may have been set back between two events, so the event number does not determine the age. The index on
    // age limits how many events have to be read.
    let mut last_old = BTreeMap::new();
    for project in projects(&moment)? {
        let limits = limits(rules, &project, as_of);
        if limits.cutoff.is_none() && limits.entries.is_none() {
            continue;
        }
        let total: i64 = moment
            .prepare_cached(&total)?
            .query_row(named_params! {":project": project, ":through": through, ":now": now}, |row| {
                row.get(0)
            })?;
        let first_kept: Option<i64> = match limits.entries {
            None => None,
            Some(entries) => moment
                .prepare_cached(&kept)?
                .query_row(
                    named_params! {":project": project, ":through": through, ":now": now, ":newer": sql(entries - 1)},
                    |row| row.get(0),
                )
                .optional()?,
        };
        let cutoff = limits.cutoff.unwrap_or(i64::MIN);
        let last = match last_old.get(&cutoff) {
            Some(last) => *last,
            None => {
                let last: i64 = moment
                    .prepare_cached("SELECT coalesce(max(seq), 0) FROM memories WHERE known < ?1")?
                    .query_row([cutoff], |row| row.get(0))?;
                last_old.insert(cutoff, last);
                last
            }
        };
        let mut statement = moment.prepare_cached(&old)?;
        let asked = named_params! {
            ":project": project, ":through": through, ":now": now, ":limit": sql(left as u64 + 1),
            ":cutoff": cutoff, ":last": last.max(first_kept.unwrap_or(0)), ":first": first_kept.unwrap_or(i64::MIN),
        };
        let candidate = |row: &rusqlite::Row<'_>| {
            Ok(Candidate {
                seq: row.get::<_, i64>(0)?.unsigned_abs(),
                id: row.get(1)?,
                known: row.get(2)?,
                bytes: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        };
        let mut candidates = statement.query_map(asked, candidate)?.collect::<Result<Vec<_>, _>>()?;
        found.more |= candidates.len() > left;
        candidates.truncate(left);
        left -= candidates.len();
        let first_kept = first_kept.map(i64::unsigned_abs);
        found.states.push(ProjectState { project, total: total.unsigned_abs(), first_kept, candidates });
    }
    Ok(found)
}

/// The names of all projects. Each project costs one index lookup.
fn projects(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE each (project) AS (
            SELECT min(project) FROM memories
            UNION ALL SELECT (SELECT min(project) FROM memories WHERE project > each.project) FROM each
            WHERE each.project IS NOT NULL
         )
         SELECT project FROM each WHERE project IS NOT NULL",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}
