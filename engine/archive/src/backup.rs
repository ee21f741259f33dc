//! Takes a backup: everything up to the head is stored, then a manifest that names it.

use std::sync::Arc;

use engine_core::archive::manifest::{FORMAT, Manifest, Object};
use engine_core::archive::name::{ManifestName, PieceName};
use engine_core::archive::route::route;
use engine_core::archive::volume_keys::{self, VolumeKeys};
use engine_core::digest::Hash;
use engine_core::wire::BackupTaken;
use engine_log::storage::{Storage, read_small};
use jiff::Timestamp;

use crate::archive_error::ArchiveError;
use crate::facts::{EngineFacts, projection_at, projection_now};
use crate::repository::{Names, lengths};
use crate::ship::Archive;

/// The files of a volume that a restore needs. Without the first one checkpoints get a new key, without the last one
/// identifiers that were made pseudonyms are no longer recognised.
const KEY_FILES: [&str; 4] =
    ["checkpoint.key", "checkpoint.key.next", "checkpoint.key.previous", "pseudonym.key"];
/// Attempts to store a manifest. More than one is needed only if a removal announces its pieces at that moment.
const MANIFEST_ATTEMPTS: usize = 3;
/// Maximum size of such a file, bytes.
const KEY_FILE_BYTES_MAX: u64 = 4 << 10;

impl Archive {
    /// Stores everything up to the head, then a manifest.
    ///
    /// # Errors
    /// A store failed, or the log cannot be read.
    pub async fn backup(
        &mut self,
        facts: &Arc<dyn EngineFacts>,
        now: Timestamp,
    ) -> Result<BackupTaken, ArchiveError> {
        let before = self.stored_bytes();
        let head = self.handles.context.published.head_seq();
        // While events are written, the projection is at the last event of the backup before it is taken, or never.
        let at_first = projection_now(facts).await?;
        while self.archived_seq() < head {
            if !self.ship_piece().await? {
                return Err(ArchiveError::Behind(self.archived_seq()));
            }
        }
        self.forget().await?;
        self.forget_in_late_tables().await?;
        let size = self.archived_seq();
        let at_first = at_first.filter(|at| at.seq == size).map(|at| at.digest);
        let projection_digest = match at_first {
            Some(digest) => Some(digest),
            None => projection_at(facts, size).await?,
        };
        let described = self.describe(size, facts, now).await?;
        let manifest = Manifest { projection_digest, ..described };
        let (manifest, name, bytes) = self.store_manifest(manifest).await?;
        self.takeover.has_backup = true;
        tracing::info!(size, name = %name, "a backup was taken");
        Ok(BackupTaken {
            log_id: manifest.log_id,
            name: name.to_string(),
            size,
            root: manifest.root.to_string(),
            created: now,
            expires: None,
            pieces: manifest.pieces.len(),
            bytes: manifest.pieces.iter().map(|piece| piece.bytes).sum::<u64>() + bytes,
            stored_bytes: self.stored_bytes() - before,
            elapsed_ms: 0,
            request: None,
            pruned: None,
        })
    }

    /// Stores the manifest with the pieces that lead to its last event. If one of them was announced for removal at the
    /// same time, takes the manifest back and does it again without that piece.
    async fn store_manifest(
        &self,
        described: Manifest,
    ) -> Result<(Manifest, ManifestName, u64), ArchiveError> {
        for _ in 0..MANIFEST_ATTEMPTS {
            let pieces = self.pieces_of(described.size).await?;
            let manifest = Manifest { pieces, ..described.clone() };
            let (name, bytes) = manifest.encode();
            self.repository.pieces.create(&name.to_string(), &bytes).await?;
            // A removal that has not seen the manifest has announced what it removes before.
            let removed = self.repository.boundary().await?.removed;
            if !manifest.pieces.iter().any(|piece| removed.contains(&piece.name)) {
                self.metrics.stored("manifest", bytes.len() as u64);
                return Ok((manifest, name, bytes.len() as u64));
            }
            self.repository.pieces.delete(&name.to_string()).await?;
        }
        Err(ArchiveError::Busy)
    }

    async fn pieces_of(&self, size: u64) -> Result<Vec<Object>, ArchiveError> {
        let names = self.repository.names().await?;
        self.check_fences(&names)?;
        let lengths = lengths(&names);
        let found = route(&names.piece_names(), &names.fences);
        if found.size() < size {
            return Err(ArchiveError::Broken(found.size() + 1));
        }
        let object = |name: &PieceName| {
            let bytes = lengths.get(&name.to_string()).copied().unwrap_or_default();
            Object { name: name.to_string(), sha256: name.sha256, bytes }
        };
        Ok(found.pieces.iter().filter(|name| name.first_seq <= size).map(object).collect())
    }

    /// Refuses if another writer has taken over.
    pub(crate) fn check_fences(&self, names: &Names) -> Result<(), ArchiveError> {
        let own = self.takeover.epoch;
        let newest = names.fences.iter().map(|fence| fence.epoch).max().unwrap_or_default();
        if newest > own { Err(ArchiveError::Fenced(newest)) } else { Ok(()) }
    }

    fn stored_bytes(&self) -> u64 {
        let kinds = ["keys", "manifest", "piece"];
        kinds.iter().map(|kind| self.metrics.bytes.with_label_values(&[kind]).get()).sum()
    }

    /// The manifest without its pieces.
    async fn describe(
        &self,
        size: u64,
        facts: &Arc<dyn EngineFacts>,
        now: Timestamp,
    ) -> Result<Manifest, ArchiveError> {
        let (log, handles) = (self.log.clone(), self.handles.clone());
        let read = move || {
            let context = &handles.context;
            let root = context.tree.root_at(size)?;
            let head = if size == 0 { Some(Hash::ZERO) } else { log.hash_of(size)? };
            let checkpoint = handles.attestation.head(context).filter(|view| view.size == size);
            let keys = volume_keys_of(&*context.storage)?;
            Ok::<_, std::io::Error>((
                root,
                head.unwrap_or(Hash::ZERO),
                checkpoint.map(|view| view.note),
                keys,
            ))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| ArchiveError::Stopping)?;
        let (root, head, checkpoint, keys) = read?;
        Ok(Manifest {
            format: FORMAT.to_owned(),
            log_id: self.log_id.clone(),
            epoch: self.takeover.epoch,
            created: now,
            engine: facts.version().to_owned(),
            size,
            root,
            head,
            checkpoint,
            pieces: Vec::new(),
            volume_keys: Some(self.store_volume_keys(&keys).await?),
            configuration: facts.configuration(),
            projection_digest: None,
        })
    }

    async fn store_volume_keys(&self, keys: &VolumeKeys) -> Result<Object, ArchiveError> {
        let bytes = volume_keys::encode(keys, self.repository.wrapping());
        let sha256 = Hash::of(&bytes);
        let name = format!("{}/{sha256}", volume_keys::FOLDER);
        if self.repository.keys.create(&name, &bytes).await? {
            self.metrics.stored("keys", bytes.len() as u64);
        }
        Ok(Object { name, sha256, bytes: bytes.len() as u64 })
    }
}

fn volume_keys_of(storage: &dyn Storage) -> std::io::Result<VolumeKeys> {
    let mut keys = VolumeKeys::new();
    for name in KEY_FILES {
        match read_small(storage, &format!("keys/{name}"), KEY_FILE_BYTES_MAX) {
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {}
            bytes => {
                keys.insert(name.to_owned(), String::from_utf8_lossy(&bytes?).into_owned());
            }
        }
    }
    Ok(keys)
}
