//! The two stores of an archive, and what is in them.

use std::collections::BTreeMap;

use engine_core::archive::boundary::{BOUNDARY_BYTES_MAX, Boundary};
use engine_core::archive::cipher::{WRAPPING_NONCE_BYTES, WrappingKey};
use engine_core::archive::key_table::{KeyTable, TableFault};
use engine_core::archive::manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestFault};
use engine_core::archive::name::{FenceName, ManifestName, PieceName, folder_of};
use engine_core::archive::piece::{Piece, PieceFault};
use engine_core::archive::volume_keys::{self, VOLUME_KEYS_BYTES_MAX, VolumeKeys};
use engine_core::digest::{Hash, is_id};
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;

use crate::store::{Listed, Store, StoreError};

/// Maximum size of a piece, bytes: what one is made of, or one line of the maximum length, and a margin for a key and
/// the tag of each payload.
pub(crate) const PIECE_BYTES_MAX: u64 = 128 << 20;
/// Maximum size of a table of keys, bytes: four million payloads.
pub(crate) const TABLE_BYTES_MAX: u64 = 128 << 20;

/// Attempts to read the boundary, if it is replaced meanwhile each time.
const BOUNDARY_ATTEMPTS: usize = 5;

/// The two stores of an archive: pieces and manifests in one, keys in the other.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) pieces: Store,
    pub(crate) keys: Store,
    pub(crate) wrapping: Option<WrappingKey>,
}

/// An object that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Error)]
#[error("{name}: {why}")]
pub struct BadObject {
    /// Its name.
    pub name: String,
    /// Why it cannot be used.
    pub why: String,
    /// Whether the object itself is missing or wrong, and not the way to it.
    pub is_damaged: bool,
}

/// An object in a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredName<T> {
    pub(crate) name: T,
    pub(crate) bytes: u64,
    pub(crate) stored_at: Timestamp,
}

/// The names of all objects of one log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) pieces: Vec<StoredName<PieceName>>,
    pub(crate) manifests: Vec<StoredName<ManifestName>>,
    pub(crate) fences: Vec<FenceName>,
}

/// What an archive has of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogSummary {
    /// Id of the log.
    pub log_id: String,
    /// Number of events that can be restored.
    pub events: u64,
    /// Bytes of all pieces.
    pub bytes: u64,
    /// Backups, the newest first.
    pub backups: Vec<BackupSummary>,
}

/// One backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupSummary {
    /// Name of its manifest.
    pub name: String,
    /// Number of events.
    pub size: u64,
    /// Root of the tree over them; absent if the manifest cannot be used.
    pub root: Option<Hash>,
    /// When it was taken.
    pub created: Option<Timestamp>,
    /// Whether the log has left the branch of this backup: another writer continued from an earlier event.
    pub left: bool,
    /// Why the manifest cannot be used.
    pub fault: Option<String>,
}

impl Names {
    /// The number for a new writer: larger than that of every writer before it.
    pub(crate) fn next_epoch(&self) -> u64 {
        let pieces = self.pieces.iter().map(|piece| piece.name.epoch);
        let manifests = self.manifests.iter().map(|manifest| manifest.name.epoch);
        let fences = self.fences.iter().map(|name| name.epoch);
        pieces.chain(manifests).chain(fences).max().unwrap_or_default() + 1
    }

    /// Whether a later writer continued from an event before the end of this backup.
    pub(crate) fn is_left(&self, manifest: &ManifestName) -> bool {
        self.fences.iter().any(|fence| manifest.epoch < fence.epoch && manifest.size > fence.seq)
    }

    /// The backups of the branch that the log is on, the newest first.
    pub(crate) fn backups(&self) -> Vec<ManifestName> {
        let names = self.manifests.iter().map(|manifest| &manifest.name);
        let mut names: Vec<ManifestName> = names.filter(|name| !self.is_left(name)).cloned().collect();
        names.sort_by_key(|name| std::cmp::Reverse((name.epoch, name.size)));
        names
    }

    pub(crate) fn piece_names(&self) -> Vec<PieceName> {
        self.pieces.iter().map(|piece| piece.name.clone()).collect()
    }
}

impl Repository {
    /// An archive in these stores.
    #[must_use]
    pub fn new(pieces: Store, keys: Store, wrapping: Option<WrappingKey>) -> Repository {
        Repository { pieces, keys, wrapping }
    }

    /// The part of one log.
    pub(crate) fn of_log(&self, log_id: &str) -> Option<Repository> {
        let folder = folder_of(log_id)?;
        let (pieces, keys) = (self.pieces.below(&folder), self.keys.below(&folder));
        Some(Repository { pieces, keys, wrapping: self.wrapping.clone() })
    }

    /// Ids of the logs in the archive.
    ///
    /// # Errors
    /// The store failed.
    pub async fn logs(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.pieces.folders().await?.into_iter().filter(|folder| is_id(folder)).collect())
    }

    /// What the archive has of each log.
    ///
    /// # Errors
    /// The store failed. A manifest that cannot be used is reported in the summary.
    pub async fn summaries(&self) -> Result<Vec<LogSummary>, StoreError> {
        let mut summaries = Vec::new();
        for log_id in self.logs().await? {
            let Some(log) = self.of_log(&log_id) else { continue };
            let names = log.names().await?;
            let route = engine_core::archive::route::route(&names.piece_names(), &names.fences);
            let mut sorted: Vec<&ManifestName> =
                names.manifests.iter().map(|manifest| &manifest.name).collect();
            sorted.sort_by_key(|name| std::cmp::Reverse((name.epoch, name.size)));
            let mut backups = Vec::new();
            for name in sorted {
                let read = log.manifest(&log_id, name).await;
                let (manifest, fault) =
                    read.map_or_else(|bad| (None, Some(bad.why)), |manifest| (Some(manifest), None));
                backups.push(BackupSummary {
                    name: name.to_string(),
                    size: name.size,
                    root: manifest.as_ref().map(|manifest| manifest.root),
                    created: manifest.map(|manifest| manifest.created),
                    left: names.is_left(name),
                    fault,
                });
            }
            let bytes = names.pieces.iter().map(|piece| piece.bytes).sum();
            summaries.push(LogSummary { log_id, events: route.size(), bytes, backups });
        }
        Ok(summaries)
    }

    /// The names of the objects of this log that nobody is removing.
    pub(crate) async fn names(&self) -> Result<Names, StoreError> {
        // The boundary first: whatever is announced later is removed only from lists that were made later, too.
        let Boundary { removed, .. } = self.boundary().await?;
        let mut names = self.all_names().await?;
        names.pieces.retain(|piece| !removed.contains(&piece.name.to_string()));
        names.manifests.retain(|manifest| !removed.contains(&manifest.name.to_string()));
        Ok(names)
    }

    /// Numbers of the boundaries, ascending.
    pub(crate) async fn boundaries(&self) -> Result<Vec<u64>, StoreError> {
        let listed = self.pieces.list(Boundary::FOLDER).await?;
        let mut numbers: Vec<u64> =
            listed.iter().filter_map(|object| Boundary::number_of(&object.name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The boundary that counts.
    pub(crate) async fn boundary(&self) -> Result<Boundary, StoreError> {
        for _ in 0..BOUNDARY_ATTEMPTS {
            let Some(number) = self.boundaries().await?.pop() else { return Ok(Boundary::default()) };
            match self.pieces.get(&Boundary::name(number), BOUNDARY_BYTES_MAX).await {
                // A newer one has replaced it since.
                Err(StoreError::Missing(_)) => {}
                Err(StoreError::TooLarge(..)) => return Ok(unreadable(number)),
                Err(fault) => return Err(fault),
                Ok(bytes) => {
                    return Ok(Boundary::decode(number, &bytes).unwrap_or_else(|| unreadable(number)));
                }
            }
        }
        Err(StoreError::Missing(Boundary::FOLDER.to_owned()))
    }

    /// The names of what leads through the log, without the objects that somebody is removing. Tails are listed first:
    /// a segment that takes the place of one that is removed meanwhile is in the list then.
    pub(crate) async fn way_names(&self) -> Result<Names, StoreError> {
        let Boundary { removed, .. } = self.boundary().await?;
        let mut names = self.names_in(&["tails", "segments", FenceName::FOLDER]).await?;
        names.pieces.retain(|piece| !removed.contains(&piece.name.to_string()));
        Ok(names)
    }

    /// The names of all objects of this log.
    pub(crate) async fn all_names(&self) -> Result<Names, StoreError> {
        self.names_in(&["segments", "tails", ManifestName::FOLDER, FenceName::FOLDER]).await
    }

    async fn names_in(&self, folders: &[&str]) -> Result<Names, StoreError> {
        let mut names = Names::default();
        for folder in folders {
            for object in self.pieces.list(folder).await? {
                let Listed { bytes, stored_at, .. } = object;
                if let Some(name) = PieceName::parse(&object.name) {
                    names.pieces.push(StoredName { name, bytes, stored_at });
                } else if let Some(name) = ManifestName::parse(&object.name) {
                    names.manifests.push(StoredName { name, bytes, stored_at });
                } else if let Some(name) = FenceName::parse(&object.name) {
                    names.fences.push(name);
                }
            }
        }
        // Of two backups of the same events, the later one is the newer one. Their names do not say which that is.
        names.manifests.sort_by_key(|manifest| std::cmp::Reverse(manifest.stored_at));
        Ok(names)
    }

    pub(crate) async fn piece(&self, log_id: &str, name: &PieceName) -> Result<Piece, BadObject> {
        let object = name.to_string();
        let bytes =
            self.pieces.get(&object, PIECE_BYTES_MAX).await.map_err(|fault| unread(&object, &fault))?;
        Piece::decode(name, log_id, &bytes).map_err(|fault: PieceFault| damaged(&object, &fault))
    }

    pub(crate) async fn table(&self, piece: &Hash, name: &str) -> Result<KeyTable, BadObject> {
        let bytes = self.keys.get(name, TABLE_BYTES_MAX).await.map_err(|fault| unread(name, &fault))?;
        KeyTable::decode(&bytes, piece, self.wrapping.as_ref()).map_err(|fault| unusable(name, fault))
    }

    /// A table whose keys are to be removed, and whether it is encrypted. One that is not, although there is a key, is
    /// of an archive that was begun without the key: what is forgotten has to be forgotten there too.
    pub(crate) async fn table_to_change(
        &self,
        piece: &Hash,
        name: &str,
    ) -> Result<(KeyTable, bool), BadObject> {
        let bytes = self.keys.get(name, TABLE_BYTES_MAX).await.map_err(|fault| unread(name, &fault))?;
        let decoded = match KeyTable::decode(&bytes, piece, self.wrapping.as_ref()) {
            Err(TableFault::Plain) => KeyTable::decode(&bytes, piece, None).map(|table| (table, false)),
            decoded => decoded.map(|table| (table, self.wrapping.is_some())),
        };
        decoded.map_err(|fault| unusable(name, fault))
    }

    /// Stores a table. Returns its length and its version. A table that was not encrypted stays so: encrypting it would
    /// vouch for rows that anybody may have written.
    pub(crate) async fn put_table(
        &self,
        name: &str,
        table: &KeyTable,
        is_encrypted: bool,
    ) -> Result<(u64, Option<String>), StoreError> {
        let bytes = table.encode(self.wrapping().filter(|_| is_encrypted));
        self.keys.put(name, &bytes).await.map(|version| (bytes.len() as u64, version))
    }

    pub(crate) async fn manifest(&self, log_id: &str, name: &ManifestName) -> Result<Manifest, BadObject> {
        let object = name.to_string();
        let bytes = self.pieces.get(&object, MANIFEST_BYTES_MAX as u64).await;
        let bytes = bytes.map_err(|fault| unread(&object, &fault))?;
        Manifest::decode(name, log_id, &bytes).map_err(|fault: ManifestFault| damaged(&object, &fault))
    }

    /// The keys of the volume that a backup names.
    pub(crate) async fn volume_keys(&self, name: &str, sha256: &Hash) -> Result<VolumeKeys, BadObject> {
        let bytes = self.keys.get(name, VOLUME_KEYS_BYTES_MAX as u64).await;
        let bytes = bytes.map_err(|fault| unread(name, &fault))?;
        if Hash::of(&bytes) != *sha256 {
            return Err(damaged(name, &"its SHA-256 is not the one in the manifest: it was changed"));
        }
        volume_keys::decode(&bytes, self.wrapping.as_ref()).map_err(|fault| match fault {
            // It is unchanged, as its hash says.
            TableFault::Undecryptable => {
                let why = "it cannot be decrypted: the key-encryption key is another one".to_owned();
                BadObject { name: name.to_owned(), why, is_damaged: false }
            }
            fault => unusable(name, fault),
        })
    }

    /// A random nonce, if there is a key to encrypt with.
    pub(crate) fn wrapping(&self) -> Option<(&WrappingKey, [u8; WRAPPING_NONCE_BYTES])> {
        self.wrapping.as_ref().map(|key| (key, random()))
    }
}

/// A boundary that cannot be read announces nothing. What it announced may be gone: a restore finds out.
fn unreadable(number: u64) -> Boundary {
    tracing::error!(number, "the boundary of the archive cannot be read");
    Boundary { number, ..Boundary::default() }
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("getrandom(2) does not fail on a kernel that can run this binary");
    bytes
}

pub(crate) fn damaged(name: &str, fault: &dyn std::fmt::Display) -> BadObject {
    BadObject { name: name.to_owned(), why: fault.to_string(), is_damaged: true }
}

/// A table of keys that cannot be used. Without the key nobody knows whether it is damaged.
fn unusable(name: &str, fault: TableFault) -> BadObject {
    BadObject { is_damaged: fault != TableFault::NoKey, ..damaged(name, &fault) }
}

fn unread(name: &str, fault: &StoreError) -> BadObject {
    let is_damaged = matches!(fault, StoreError::Missing(_) | StoreError::TooLarge(..));
    let why = if let StoreError::Missing(_) = fault { "it is missing".to_owned() } else { fault.to_string() };
    BadObject { name: name.to_owned(), why, is_damaged }
}

/// A map of objects by name, for lists that are looked up.
pub(crate) fn lengths(names: &Names) -> BTreeMap<String, u64> {
    names.pieces.iter().map(|piece| (piece.name.to_string(), piece.bytes)).collect()
}
