//! Restores a log into an empty directory, and verifies it completely before it gets its place.

use std::path::Path;
use std::time::Instant;

use engine_core::archive::manifest::ProjectionDigest;
use engine_core::archive::name::{ManifestName, PieceName};
use engine_core::archive::route::route;
use engine_core::digest::Hash;
use engine_core::event::{LOG_RESTORED, LogRestored};
use engine_core::format::EventLine;
use engine_core::wire::RestoredLog;
use engine_log::{LogReader, Offline, OfflineError};
use jiff::Timestamp;
use serde::Serialize;

use crate::pin::Pin;
use crate::place::PIECE_RAW_BYTES;
use crate::plan::{Plan, Until, Wanted, plans};
use crate::progress::Progress;
use crate::repository::{BadObject, Names, Repository, damaged};
use crate::restore_error::{Failed, RestoreError, proven};
use crate::staging::{Counted, Staging, read};

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
    /// Number of events of the backup.
    pub backup_size: u64,
    /// Root of the restored log at event `backup_size`, which is that of the backup; absent if fewer events were
    /// restored.
    pub backup_root: Option<Hash>,
    /// When the backup was taken.
    pub backup_created: Timestamp,
    /// Digest of the projection at the last event of the backup, if the backup has it.
    pub projection_digest: Option<ProjectionDigest>,
    /// When the last event that was restored was recorded; absent if there is none.
    pub last_event_at: Option<Timestamp>,
    /// Time to read and write the pieces, milliseconds.
    pub download_ms: u64,
    /// Time to open and verify the log, milliseconds.
    pub open_ms: u64,
    /// Time that all of it took, with attempts that failed, milliseconds.
    pub elapsed_ms: u64,
    /// Objects that could not be used. With one of these the log is not the newest that the archive once had.
    pub damaged: Vec<BadObject>,
}

/// Restores a log into the empty directory `to`. If the newest backup is damaged, takes the one before. An object that
/// cannot be read for another reason ends the restore: an older state would be restored because of a passing fault.
/// With `record`, the restored log says that it was restored.
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
    // Before the names: a removal that does not see the pin has announced what it removes before that.
    let pin = Pin::put(&log, Timestamp::now()).await;
    let restored = restore_log((log, &log_id), to, wanted, record, progress).await;
    pin.remove().await;
    restored.map(|restored| Restored { elapsed_ms: elapsed_ms(started), ..restored })
}

async fn restore_log(
    (log, log_id): (Repository, &str),
    to: &Path,
    wanted: &Wanted,
    record: bool,
    progress: &dyn Progress,
) -> Result<Restored, RestoreError> {
    let names = log.names().await?;
    let left = if wanted.exactly { 1 } else { ATTEMPTS };
    let mut attempts = Attempts { log, names, wanted, record, progress, left, bad: Vec::new() };
    for name in which_backups(&attempts.names, wanted)? {
        if attempts.left == 0 {
            break;
        }
        if let Some(restored) = attempts.backup(log_id, &name, to).await? {
            return Ok(Restored { damaged: attempts.bad, ..restored });
        }
    }
    match attempts.bad.is_empty() {
        true => Err(RestoreError::NoBackup(format!(" of the log {log_id}"))),
        false => Err(RestoreError::Damaged(attempts.bad)),
    }
}

/// Name of the backup that is restored first; `None` if there is none, or the store does not say.
pub async fn first_backup(repository: &Repository, wanted: &Wanted) -> Option<String> {
    let log = repository.of_log(&which_log(repository, wanted).await.ok()?)?;
    let names = log.names().await.ok()?;
    which_backups(&names, wanted).ok()?.first().map(ToString::to_string)
}

/// What is left to try, and what was found on the way.
struct Attempts<'a> {
    log: Repository,
    names: Names,
    wanted: &'a Wanted,
    record: bool,
    progress: &'a dyn Progress,
    left: usize,
    bad: Vec<BadObject>,
}

impl Attempts<'_> {
    /// Tries one backup. Returns nothing if it cannot be restored.
    async fn backup(
        &mut self,
        log_id: &str,
        name: &ManifestName,
        to: &Path,
    ) -> Result<Option<Restored>, RestoreError> {
        let manifest = match self.log.manifest(log_id, name).await {
            Ok(manifest) => manifest,
            Err(fault) => {
                self.note(proven(fault)?);
                return Ok(None);
            }
        };
        let plans = plans(name, &manifest, &self.names, self.wanted);
        for plan in &plans {
            if self.left == 0 {
                break;
            }
            let Attempts { log, names, wanted, record, progress, .. } = &*self;
            let attempt = Attempt { log, names, plan, wanted, record: *record, progress: *progress };
            let object = match attempt.run(to, self.bad.len()).await {
                Ok(restored) => return Ok(Some(restored)),
                Err(Failed::Finally(fault)) => return Err(fault),
                // The events after the backup that is checked may say why.
                Err(Failed::Unexplained(_)) if wanted.exactly && plans.len() > 1 && !plan.is_further => {
                    continue;
                }
                Err(Failed::Object(object) | Failed::Unexplained(object)) => object,
            };
            self.note(object);
        }
        Ok(None)
    }

    fn note(&mut self, object: BadObject) {
        self.left -= 1;
        tracing::error!(name = object.name, why = object.why, "an object of the archive is not usable");
        if !self.bad.contains(&object) {
            self.bad.push(object);
        }
    }
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
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
    let Some(name) = &wanted.backup else {
        let mut newest_first = names.backups();
        // A check that passes about an older backup says nothing about the newest one.
        newest_first.truncate(if wanted.exactly { 1 } else { usize::MAX });
        return Ok(newest_first);
    };
    let is_there = |name: &ManifestName| names.manifests.iter().any(|manifest| manifest.name == *name);
    let named = ManifestName::parse(name).filter(is_there);
    named.map(|name| vec![name]).ok_or_else(|| RestoreError::NoBackup(format!(" {name}")))
}

/// When the event with this number was recorded; `None` for number 0.
fn last_event_at(log: &Offline, seq: u64) -> std::io::Result<Option<Timestamp>> {
    let Some(before) = seq.checked_sub(1) else { return Ok(None) };
    let context = &log.handles().context;
    let reader = LogReader::new(std::sync::Arc::clone(&context.storage), context.published.clone());
    let line = reader.lines_after(before, 1, PIECE_RAW_BYTES)?;
    let event = EventLine::decode(line.strip_suffix(b"\n").unwrap_or(&line));
    Ok(event.ok().map(|event| event.envelope.time))
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
    backup_root: Option<Hash>,
    last_event_at: Option<Timestamp>,
}

impl Attempt<'_> {
    async fn run(&self, to: &Path, damaged: usize) -> Result<Restored, Failed> {
        let started = Instant::now();
        let Plan { manifest, .. } = self.plan;
        let archived = self.plan.pieces.last().map_or(0, |piece| piece.last_seq).max(manifest.size);
        let (until, pieces) = self.until(archived).await?;
        if self.wanted.until.is_some() || self.wanted.backup.is_some() {
            self.check_not_repeated(until.unwrap_or(archived)).await?;
        }
        let mut staging = Staging::begin(to)?;
        if let Some(object) = &manifest.volume_keys {
            staging.keys(&self.log.volume_keys(&object.name, &object.sha256).await?)?;
        }
        let parts = (manifest.log_id.as_str(), pieces);
        let counted = staging.pieces((self.log, self.names), parts, until, self.progress).await?;
        staging.account(&counted, until)?;
        let (download_ms, started) = (elapsed_ms(started), Instant::now());
        let opened = self.verify(&staging, until)?;
        let open_ms = elapsed_ms(started);
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
            backup_size: manifest.size,
            backup_root: opened.backup_root,
            backup_created: manifest.created,
            projection_digest: manifest.projection_digest,
            last_event_at: opened.last_event_at,
            download_ms,
            open_ms,
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
            at: Some(Timestamp::now()),
        }
    }

    /// The last event that is wanted, if not all of them are, and the pieces that lead to it.
    async fn until(&self, archived: u64) -> Result<(Option<u64>, &[PieceName]), Failed> {
        let pieces = &self.plan.pieces;
        match self.wanted.until {
            None => Ok((None, pieces)),
            Some(Until::Event(seq)) if seq > archived => Err(RestoreError::NoEvent(seq, archived).into()),
            Some(Until::Event(seq)) => Ok((Some(seq), pieces)),
            Some(Until::Time(time)) => {
                // From the end: the clock may have been set back, so that no piece says anything of those before it.
                for (place, name) in pieces.iter().enumerate().rev() {
                    let piece = self.log.piece(&self.plan.manifest.log_id, name).await?;
                    let found = piece.last_recorded_by(time);
                    if let Some(seq) = found.map_err(|fault| damaged(&name.to_string(), &fault))? {
                        return Ok((Some(seq), &pieces[..=place]));
                    }
                }
                Err(RestoreError::NothingBy(time).into())
            }
        }
    }

    /// Refuses to restore for a request to the event `last` if the archive has a log that was put back to that event
    /// before, and went on from there: a request that stays in a manifest would leave everything behind that was
    /// recorded since. Somebody who wants that restores without the id of a request.
    async fn check_not_repeated(&self, last: u64) -> Result<(), Failed> {
        let way = route(&self.names.piece_names(), &self.names.fences);
        let has_next = |piece: &&PieceName| piece.first_seq <= last + 1 && last < piece.last_seq;
        let (Some(_), Some(piece)) = (&self.wanted.once, way.pieces.iter().find(has_next)) else {
            return Ok(());
        };
        let lines = match read(self.log, &self.plan.manifest.log_id, piece).await {
            Ok(read) => read.lines(last + 1),
            Err(object) => Err(object),
        };
        let lines = match lines.map_err(proven) {
            Ok(lines) => lines,
            Err(Err(fault)) => return Err(fault.into()),
            // What comes after it cannot be restored: nothing is left behind.
            Err(Ok(_)) => return Ok(()),
        };
        let next = lines.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        let event = next.and_then(|line| EventLine::decode(line).ok());
        let event =
            event.filter(|event| event.envelope.seq == last + 1 && event.envelope.kind == LOG_RESTORED);
        let restored: Option<LogRestored> =
            event.and_then(|event| serde_json::from_str(event.payload()?).ok());
        match restored {
            Some(restored) if restored.size == last => {
                Err(RestoreError::Repeated { seq: last, archived: way.size() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Opens the log, which verifies every hash, and compares its roots.
    fn verify(&self, staging: &Staging, until: Option<u64>) -> Result<Opened, Failed> {
        let manifest = &self.plan.manifest;
        let whole = |why: String| Failed::Object(damaged(&self.plan.name.to_string(), &why));
        let mut log = Offline::open(staging.path()).map_err(|fault| match fault {
            OfflineError::Corrupt(_) => whole(fault.to_string()),
            // A volume that is full says nothing about the archive.
            fault => RestoreError::Log(fault.to_string()).into(),
        })?;
        let tree = std::sync::Arc::clone(&log.handles().context.tree);
        let (events, root) = tree.head();
        let root_at = |size: u64| {
            let root = (size <= events).then(|| tree.root_at(size)).transpose();
            root.map_err(|fault| RestoreError::Log(fault.to_string()))
        };
        let backup_root = root_at(manifest.size)?;
        if until.is_none_or(|until| until >= manifest.size) && backup_root != Some(manifest.root) {
            return Err(whole(format!("the log has another root at event {}", manifest.size)));
        }
        if let Some((size, expected)) = self.wanted.at_least
            && let anchored = root_at(size)?
            && anchored != Some(expected)
        {
            let found = anchored.map_or_else(
                || format!("only {events} events"),
                |root| format!("the root {root} at that event"),
            );
            return Err(RestoreError::BelowAnchor { size, root: expected, found }.into());
        }
        if self.record {
            let restored = LogRestored {
                size: events,
                archived: route(&self.names.piece_names(), &self.names.fences).size(),
                manifest: self.plan.name.to_string(),
                reason: self.wanted.reason.clone(),
            };
            log.record_restored(&restored).map_err(|fault| RestoreError::Log(fault.to_string()))?;
        }
        let last_event_at =
            last_event_at(&log, events).map_err(|fault| RestoreError::Log(fault.to_string()))?;
        log.close();
        Ok(Opened { events, root, backup_root, last_event_at })
    }
}
