//! Removes the keys of forgotten payloads from the archive. The pieces stay as they are.

use std::collections::BTreeSet;

use engine_core::archive::key_table::KeyTable;
use engine_core::archive::name::PieceName;
use engine_core::digest::Hash;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::archive_error::ArchiveError;
use crate::forgotten::{Targets, forgotten, rows};
use crate::ship::Archive;
use crate::store::{Listed, StoreError};

/// The object that says how far the removal is, in the store of the keys.
const PROGRESS: &str = "forgotten";
/// Maximum size of that object, bytes. It has two short fields.
const PROGRESS_BYTES_MAX: u64 = 1 << 10;
/// Tables that were stored so long before the progress are looked at too: clocks of the parts of a store may differ.
const LATE_MARGIN: SignedDuration = SignedDuration::from_secs(60);

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
            let names = self.repository.all_names().await?;
            self.check_fences(&names)?;
            self.remove_keys(&names.piece_names(), &targets).await?;
            self.record_progress(through).await?;
        }
        self.forgotten_seq = through;
        Ok(())
    }

    /// Removes keys of what is forgotten from tables that other writers have stored since the last look: a writer that
    /// does not know that it has a successor may have stored a key again that was removed before. Most of the time this
    /// lists names and finds nothing.
    ///
    /// # Errors
    /// A store failed, or the log cannot be read.
    pub(crate) async fn forget_in_late_tables(&mut self) -> Result<(), ArchiveError> {
        let since = self.repository.keys.stored_at(PROGRESS).await?;
        let is_new =
            |stored_at: Timestamp| since.is_none_or(|since| stored_at.duration_since(since) >= -LATE_MARGIN);
        let mut tables = self.repository.keys.list(KeyTable::FOLDER).await?;
        tables.retain(|table| is_new(table.stored_at));
        let is_own = |table: &&Listed| {
            table.version.is_some() && self.own_tables.get(&table.name) == Some(&table.version)
        };
        let (own, late): (Vec<&Listed>, Vec<&Listed>) = tables.iter().partition(is_own);
        let late: BTreeSet<String> = late.into_iter().map(|table| table.name.clone()).collect();
        self.own_tables = own.into_iter().map(|table| (table.name.clone(), table.version.clone())).collect();
        if !late.is_empty() && self.forgotten_seq > 0 {
            self.forget_in(&late).await?;
        }
        // From here on only what is stored later is looked at again.
        self.record_progress(self.forgotten_seq).await
    }

    /// Removes the keys of everything that is forgotten from these tables.
    async fn forget_in(&mut self, tables: &BTreeSet<String>) -> Result<(), ArchiveError> {
        let (log, through) = (self.log.clone(), self.forgotten_seq);
        let scan = move || forgotten(&log, 0, through);
        let scanned = tokio::task::spawn_blocking(scan).await.map_err(|_| ArchiveError::Stopping)?;
        let (targets, _) = scanned?;
        let names = self.repository.all_names().await?;
        self.check_fences(&names)?;
        let mut pieces = names.piece_names();
        pieces.retain(|piece| tables.contains(&piece.keys()));
        self.remove_keys(&pieces, &targets).await
    }

    /// Removes the keys from the tables of all pieces that have these events, whichever branch they are of: what was
    /// forgotten may be on any of them.
    async fn remove_keys(&mut self, pieces: &[PieceName], targets: &Targets) -> Result<(), ArchiveError> {
        for name in pieces {
            let rows: Vec<(usize, String)> = rows(name, targets);
            if rows.is_empty() {
                continue;
            }
            let found = self.repository.table_to_change(&name.sha256, &name.keys()).await;
            let (mut table, is_encrypted) = match found {
                Ok(found) => found,
                Err(bad) if self.is_removed(name).await? => {
                    tracing::debug!(name = bad.name, "the table was removed with its piece");
                    continue;
                }
                Err(bad) => return Err(bad.into()),
            };
            if table.forget(&rows) > 0 {
                self.put_table(&name.keys(), &table, is_encrypted).await?;
            }
        }
        Ok(())
    }

    /// Whether a piece was announced for removal.
    async fn is_removed(&self, name: &PieceName) -> Result<bool, ArchiveError> {
        Ok(self.repository.boundary().await?.removed.contains(&name.to_string()))
    }

    async fn record_progress(&self, seq: u64) -> Result<(), ArchiveError> {
        let log = self.log.clone();
        let hash = tokio::task::spawn_blocking(move || log.hash_of(seq)).await;
        let Some(hash) = hash.map_err(|_| ArchiveError::Stopping)?? else { return Ok(()) };
        let bytes = serde_json::to_vec(&Progress { seq, hash }).expect("a number and a text are always JSON");
        self.repository.keys.put(PROGRESS, &bytes).await?;
        Ok(())
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
