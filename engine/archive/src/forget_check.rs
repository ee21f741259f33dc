//! Checks from the archive alone that nobody can read from it what its log has forgotten.

use std::collections::BTreeMap;

use engine_core::archive::key_table::Row;
use engine_core::archive::name::PieceName;
use engine_core::archive::route::route;
use engine_core::format::EventLine;
use serde::Serialize;

use crate::forgotten::{MARK, Targets, collect, rows};
use crate::repository::{BadObject, Repository, damaged};
use crate::store::StoreError;

/// Keys that are named in the answer. All are counted.
const NAMED_MAX: usize = 1_000;

/// What a check of the forgetting found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForgetCheck {
    /// Whether no key is left of anything that is forgotten, and everything could be read.
    pub ok: bool,
    /// Id of the log.
    pub log_id: String,
    /// Number of events in the archive.
    pub events: u64,
    /// Number of events that the log has forgotten.
    pub forgotten: usize,
    /// Number of tables that were looked at.
    pub tables: usize,
    /// Number of keys that are left of what is forgotten.
    pub left: usize,
    /// The first of them.
    pub behind: Vec<LeftKey>,
    /// Objects that could not be used.
    pub damaged: Vec<BadObject>,
}

/// A key of something that is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftKey {
    /// Number of the event.
    pub seq: u64,
    /// Id of the event that says that it is forgotten.
    pub by: String,
    /// The table that has the key.
    pub table: String,
}

/// Reads all pieces and all tables of a log, and reports the keys of what the log has forgotten.
///
/// # Errors
/// The names of the objects cannot be listed.
pub async fn forget_check(repository: &Repository, log_id: &str) -> Result<ForgetCheck, StoreError> {
    let missing = || StoreError::Missing(log_id.to_owned());
    let log = repository.of_log(log_id).ok_or_else(missing)?;
    let names = log.names().await?;
    let way = route(&names.piece_names(), &names.fences);
    let mut bad = Vec::new();
    let (mut targets, mut unplaced) = (Targets::new(), BTreeMap::new());
    for name in &way.pieces {
        let found = events(&log, log_id, name, |line| collect(line, &mut targets, &mut unplaced)).await;
        bad.extend(found.err());
    }
    // Older logs name ids only, and their numbers have to be found.
    for name in way.pieces.iter().filter(|_| !unplaced.is_empty()) {
        let place = |line: &[u8]| {
            let Ok(event) = EventLine::decode(line) else { return };
            if let Some(by) = unplaced.get(event.envelope.id.as_ref()) {
                targets.insert(event.envelope.seq, by.clone());
            }
        };
        bad.extend(all_events(&log, log_id, name, place).await.err());
    }
    let mut check = ForgetCheck {
        ok: true,
        log_id: log_id.to_owned(),
        events: way.size(),
        forgotten: targets.len(),
        tables: 0,
        left: 0,
        behind: Vec::new(),
        damaged: bad,
    };
    // Also what is of another branch or being removed: whoever can read the stores can read it.
    for name in log.all_names().await?.piece_names() {
        check.table(&log, &name, &targets).await;
    }
    check.damaged.dedup();
    check.ok = check.left == 0 && check.damaged.is_empty();
    Ok(check)
}

impl ForgetCheck {
    async fn table(&mut self, log: &Repository, name: &PieceName, targets: &Targets) {
        let table = name.keys();
        match log.table_to_change(&name.sha256, &table).await {
            Ok((keys, _)) => {
                self.tables += 1;
                for (place, by) in rows(name, targets) {
                    if !matches!(keys.rows.get(place), Some(Row::Key(_))) {
                        continue;
                    }
                    self.left += 1;
                    if self.behind.len() < NAMED_MAX {
                        let seq = name.first_seq + place as u64;
                        self.behind.push(LeftKey { seq, by, table: table.clone() });
                    }
                }
            }
            Err(bad) if self.damaged.contains(&bad) => {}
            Err(bad) => self.damaged.push(bad),
        }
    }
}

/// Calls `each` with the lines that may forget something.
async fn events(
    log: &Repository,
    log_id: &str,
    name: &PieceName,
    mut each: impl FnMut(&[u8]),
) -> Result<(), BadObject> {
    all_events(log, log_id, name, |line| {
        if line.windows(MARK.len()).any(|part| part == MARK) {
            each(line);
        }
    })
    .await
}

/// Calls `each` with all lines of a piece, with their payloads as far as there are keys.
async fn all_events(
    log: &Repository,
    log_id: &str,
    name: &PieceName,
    each: impl FnMut(&[u8]),
) -> Result<(), BadObject> {
    let table = name.keys();
    let keys = log.table_to_change(&name.sha256, &table);
    let (piece, keys) = futures::join!(log.piece(log_id, name), keys);
    let mut lines = Vec::new();
    let restored = piece?.restore(&keys?.0, u64::MAX, &mut lines);
    restored.map_err(|fault| damaged(&format!("{name} or {table}"), &fault))?;
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).for_each(each);
    Ok(())
}
