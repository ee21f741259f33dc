//! Removes the keys of forgotten payloads from the archive. The pieces stay as they are.

use std::collections::BTreeMap;

use engine_core::archive::name::PieceName;
use engine_core::digest::Hash;
use engine_core::event::{ForgottenPayload, MEMORY_FORGOTTEN};
use engine_core::format::EventLine;
use engine_log::LogReader;
use serde::{Deserialize, Serialize};

use crate::archive_error::ArchiveError;
use crate::ship::Archive;
use crate::store::StoreError;

/// The object that says how far the removal is, in the store of the keys.
const PROGRESS: &str = "forgotten";
/// Maximum size of that object, bytes. It has two short fields.
const PROGRESS_BYTES_MAX: u64 = 1 << 10;
/// Bytes of the log that are searched at a time.
const PAGE_BYTES: usize = 4 << 20;
/// How an event of this type is recognised without decoding all others.
pub(crate) const MARK: &[u8] = br#""type":"memory.forgotten""#;

/// Events whose payloads are forgotten: number, and id of the event that records it.
pub(crate) type Targets = BTreeMap<u64, String>;

#[derive(Serialize, Deserialize)]
struct Progress {
    seq: u64,
    hash: Hash,
}

impl Archive {
    /// Removes the keys of everything that the log has forgotten since the last call. Repeating it after a crash
    /// changes nothing more.
    ///
    /// # Errors
    /// A store failed, or the log cannot be read.
    pub async fn forget(&mut self) -> Result<(), ArchiveError> {
        // Only what is archived counts: a key must not be gone before the event that says why is there.
        let (log, after, through) = (self.log.clone(), self.forgotten_seq, self.archived_seq());
        let scan = move || forgotten(&log, after, through);
        let scanned = tokio::task::spawn_blocking(scan).await.map_err(|_| ArchiveError::Stopping)?;
        let (targets, through) = scanned?;
        if !targets.is_empty() {
            self.remove_keys(&targets).await?;
            self.record_progress(through).await?;
        }
        self.forgotten_seq = through;
        Ok(())
    }

    /// Removes the keys from the tables of all pieces that have these events, whichever branch they are of: what was
    /// forgotten may be on any of them.
    async fn remove_keys(&self, targets: &Targets) -> Result<(), ArchiveError> {
        for name in self.repository.names().await?.piece_names() {
            let rows: Vec<(usize, String)> = rows(&name, targets);
            if rows.is_empty() {
                continue;
            }
            let mut table = self.repository.table(&name.sha256, &name.keys()).await?;
            if table.forget(&rows) > 0 {
                let bytes = self.repository.put_table(&name.keys(), &table).await?;
                self.metrics.stored("keys", bytes);
            }
        }
        Ok(())
    }

    async fn record_progress(&self, seq: u64) -> Result<(), ArchiveError> {
        let log = self.log.clone();
        let hash = tokio::task::spawn_blocking(move || log.hash_of(seq)).await;
        let Some(hash) = hash.map_err(|_| ArchiveError::Stopping)?? else { return Ok(()) };
        let bytes = serde_json::to_vec(&Progress { seq, hash }).expect("a number and a text are always JSON");
        Ok(self.repository.keys.put(PROGRESS, &bytes).await?)
    }

    /// How far the removal was when this archive was written last; 0 if that was on another branch of the log.
    pub(crate) async fn stored_forgotten_seq(&self) -> Result<u64, ArchiveError> {
        let bytes = match self.repository.keys.get(PROGRESS, PROGRESS_BYTES_MAX).await {
            Err(StoreError::Missing(_)) => return Ok(0),
            bytes => bytes?,
        };
        let Ok(Progress { seq, hash }) = serde_json::from_slice(&bytes) else { return Ok(0) };
        let log = self.log.clone();
        let own = tokio::task::spawn_blocking(move || log.hash_of(seq)).await;
        Ok(if own.map_err(|_| ArchiveError::Stopping)?? == Some(hash) { seq } else { 0 })
    }
}

/// The rows of a table that are to be removed.
fn rows(name: &PieceName, targets: &Targets) -> Vec<(usize, String)> {
    let row = |(seq, by): (&u64, &String)| Some((usize::try_from(seq - name.first_seq).ok()?, by.clone()));
    targets.range(name.first_seq..=name.last_seq).filter_map(row).collect()
}

/// What the events after `after` up to `through` forget, and the last event that was looked at.
fn forgotten(log: &LogReader, after: u64, through: u64) -> Result<(Targets, u64), ArchiveError> {
    let (mut targets, mut unplaced, mut seq) = (Targets::new(), BTreeMap::new(), after);
    let head = log.published().head_seq().min(through);
    while seq < head {
        let events = usize::try_from(head - seq).unwrap_or(usize::MAX);
        let lines = log.lines_after(seq, events, PAGE_BYTES)?;
        if lines.is_empty() {
            break;
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            seq += 1;
            if line.windows(MARK.len()).any(|part| part == MARK) {
                collect(line, &mut targets, &mut unplaced);
            }
        }
    }
    if !unplaced.is_empty() {
        place(log, &unplaced, head, &mut targets)?;
    }
    Ok((targets, seq))
}

/// Adds the targets of one event. Older logs name no numbers: those ids are `unplaced`.
fn collect(line: &[u8], targets: &mut Targets, unplaced: &mut BTreeMap<String, String>) {
    let Some(event) = EventLine::decode(line).ok().filter(|event| event.envelope.kind == MEMORY_FORGOTTEN)
    else {
        return;
    };
    let payload = event.payload().and_then(|text| serde_json::from_str::<ForgottenPayload>(text).ok());
    let ForgottenPayload { targets: ids, seqs, .. } = payload.unwrap_or_default();
    let by = event.envelope.id.to_string();
    if seqs.len() == ids.len() {
        targets.extend(seqs.into_iter().map(|seq| (seq, by.clone())));
    } else {
        unplaced.extend(ids.into_iter().map(|id| (id, by.clone())));
    }
}

/// Finds the numbers of events by their ids.
fn place(
    log: &LogReader,
    unplaced: &BTreeMap<String, String>,
    head: u64,
    targets: &mut Targets,
) -> Result<(), ArchiveError> {
    let mut seq = 0;
    while seq < head {
        let lines = log.lines_after(seq, usize::MAX, PAGE_BYTES)?;
        if lines.is_empty() {
            break;
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            seq += 1;
            let Ok(event) = EventLine::decode(line) else { continue };
            if let Some(by) = unplaced.get(event.envelope.id.as_ref()) {
                targets.insert(event.envelope.seq, by.clone());
            }
        }
    }
    Ok(())
}
