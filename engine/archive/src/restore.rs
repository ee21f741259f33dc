//! Restores a log into an empty directory, and verifies it completely before it gets its place.

use std::path::Path;
use std::time::Instant;

use engine_core::archive::name::ManifestName;
use engine_core::digest::Hash;
use engine_core::event::LogRestored;
use engine_core::wire::RestoredLog;
use engine_log::Offline;
use serde::Serialize;

use crate::plan::{Plan, Wanted, plans};
use crate::progress::Progress;
use crate::repository::{BadObject, Names, Repository, damaged};
use crate::restore_error::{Failed, RestoreError};
use crate::staging::{Counted, Staging};

/// Attempts in all. More would hide that an archive is rotting.
const ATTEMPTS: usize = 3;

/// A log that was restored.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// Id of the log.
    pub log_id: String,
    /// Name of the manifest.
    pub backup: String,
    /// Number of events that were restored.
    pub events: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// Events whose payloads are forgotten.
    pub forgotten: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Number of pieces.
    pub pieces: usize,
    /// Number of events that the archive has.
    pub archived: u64,
    /// Whether the root was compared with one that was given.
    pub anchored: bool,
    /// Time that it took, milliseconds.
    pub elapsed_ms: u64,
    /// Objects that could not be used. With one of these the log is not the newest that the archive once had.
    pub damaged: Vec<BadObject>,
}

/// Restores a log into the empty directory `to`. If the newest backup cannot be used, takes the one before. With
/// `record`, the restored log says that it was restored.
///
/// # Errors
/// Nothing was restored; the directory has nothing new that counts.
pub async fn restore(
    repository: &Repository,
    to: &Path,
    wanted: &Wanted,
    record: bool,
    progress: &dyn Progress,
) -> Result<Restored, RestoreError> {
    let started = Instant::now();
    let log_id = which_log(repository, wanted).await?;
    let log = repository.of_log(&log_id).ok_or_else(|| RestoreError::NoLog(log_id.clone()))?;
    let names = log.names().await?;
    let mut bad = Vec::new();
    let mut left = if wanted.exactly { 1 } else { ATTEMPTS };
    for name in which_backups(&names, wanted)? {
        let manifest = match log.manifest(&log_id, &name).await {
            Ok(manifest) => manifest,
            Err(fault) => {
                bad.push(fault);
                continue;
            }
        };
        for plan in plans(&name, &manifest, &names, wanted) {
            if left == 0 {
                break;
            }
            left -= 1;
            let attempt = Attempt { log: &log, names: &names, plan: &plan, wanted, record, progress };
            match attempt.run(to, bad.len()).await {
                Ok(restored) => {
                    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    return Ok(Restored { elapsed_ms, damaged: bad, ..restored });
                }
                Err(Failed::Finally(fault)) => return Err(fault),
                Err(Failed::Object(object)) => {
                    tracing::error!(
                        name = object.name,
                        why = object.why,
                        "an object of the archive is not usable"
                    );
                    if !bad.contains(&object) {
                        bad.push(object);
                    }
                }
            }
        }
    }
    match bad.is_empty() {
        true => Err(RestoreError::NoBackup(format!(" of the log {log_id}"))),
        false => Err(RestoreError::Damaged(bad)),
    }
}

/// Name of the backup that is restored first; `None` if there is none, or the store does not say.
pub async fn first_backup(repository: &Repository, wanted: &Wanted) -> Option<String> {
    let log = repository.of_log(&which_log(repository, wanted).await.ok()?)?;
    let names = log.names().await.ok()?;
    which_backups(&names, wanted).ok()?.first().map(ToString::to_string)
}

async fn which_log(repository: &Repository, wanted: &Wanted) -> Result<String, RestoreError> {
    let logs = repository.logs().await?;
    match (&wanted.log_id, logs.as_slice()) {
        (Some(log_id), _) if logs.contains(log_id) => Ok(log_id.clone()),
        (Some(log_id), _) => Err(RestoreError::NoLog(log_id.clone())),
        (None, [log_id]) => Ok(log_id.clone()),
        (None, []) => Err(RestoreError::NoBackup(String::new())),
        (None, logs) => Err(RestoreError::WhichLog(logs.len(), logs.join(", "))),
    }
}

fn which_backups(names: &Names, wanted: &Wanted) -> Result<Vec<ManifestName>, RestoreError> {
    let Some(name) = &wanted.backup else { return Ok(names.backups()) };
    let named = ManifestName::parse(name).filter(|name| names.manifests.contains(name));
    named.map(|name| vec![name]).ok_or_else(|| RestoreError::NoBackup(format!(" {name}")))
}

struct Attempt<'a> {
    log: &'a Repository,
    names: &'a Names,
    plan: &'a Plan,
    wanted: &'a Wanted,
    record: bool,
    progress: &'a dyn Progress,
}

/// What the log says after it was opened.
struct Opened {
    events: u64,
    root: Hash,
}

impl Attempt<'_> {
    async fn run(&self, to: &Path, damaged: usize) -> Result<Restored, Failed> {
        let Plan { manifest, pieces, .. } = self.plan;
        let archived = pieces.last().map_or(0, |piece| piece.last_seq).max(manifest.size);
        if let Some(until) = self.wanted.until.filter(|until| *until > archived) {
            return Err(RestoreError::NoEvent(until, archived).into());
        }
        let mut staging = Staging::begin(to)?;
        if let Some(object) = &manifest.volume_keys {
            staging.keys(&self.log.volume_keys(&object.name, &object.sha256).await?)?;
        }
        let counted =
            staging.pieces((self.log, self.names), self.plan, self.wanted.until, self.progress).await?;
        staging.account(&counted, self.wanted.until)?;
        let opened = self.verify(&staging)?;
        staging.finish(&self.marker(&opened, damaged))?;
        let Counted { forgotten, bytes, .. } = counted;
        Ok(Restored {
            log_id: manifest.log_id.clone(),
            backup: self.plan.name.to_string(),
            events: opened.events,
            root: opened.root,
            forgotten,
            log_bytes: bytes,
            pieces: pieces.len(),
            archived,
            anchored: self.wanted.at_least.is_some(),
            elapsed_ms: 0,
            damaged: Vec::new(),
        })
    }

    /// What the data directory says about its log.
    fn marker(&self, opened: &Opened, damaged: usize) -> RestoredLog {
        RestoredLog {
            id: self.wanted.once.clone(),
            log_id: self.plan.manifest.log_id.clone(),
            backup: self.plan.name.to_string(),
            events: opened.events,
            root: opened.root.to_string(),
            anchored: self.wanted.at_least.is_some(),
            damaged: damaged as u64,
            at: Some(jiff::Timestamp::now()),
        }
    }

    /// Opens the log, which verifies every hash, and compares its roots.
    fn verify(&self, staging: &Staging) -> Result<Opened, Failed> {
        let manifest = &self.plan.manifest;
        let whole = |why: String| Failed::Object(damaged(&self.plan.name.to_string(), &why));
        let mut log = Offline::open(staging.path()).map_err(|fault| whole(fault.to_string()))?;
        let tree = std::sync::Arc::clone(&log.handles().context.tree);
        let (events, root) = tree.head();
        let root_at = |size: u64| (size <= events).then(|| tree.root_at(size).ok()).flatten();
        if self.wanted.until.is_none_or(|until| until >= manifest.size)
            && root_at(manifest.size) != Some(manifest.root)
        {
            return Err(whole(format!("the log has another root at event {}", manifest.size)));
        }
        if let Some((size, expected)) = self.wanted.at_least
            && root_at(size) != Some(expected)
        {
            let found = root_at(size).map_or_else(
                || format!("only {events} events"),
                |root| format!("the root {root} at that event"),
            );
            return Err(RestoreError::BelowAnchor { size, root: expected, found }.into());
        }
        if self.record {
            let restored = LogRestored {
                size: events,
                archived: engine_core::archive::route::route(&self.names.piece_names(), &self.names.fences)
                    .size(),
                manifest: self.plan.name.to_string(),
                reason: self.wanted.reason.clone(),
            };
            log.record_restored(&restored).map_err(|fault| RestoreError::Log(fault.to_string()))?;
        }
        log.close();
        Ok(Opened { events, root })
    }
}
