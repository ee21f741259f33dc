//! Keys of the engine itself: `access/keys.json` on the volume, with hashes, readable by its owner only.

use std::io;
use std::path::Path;
use std::sync::Arc;

use engine_core::access::{ApiKey, Caller, CallerKind, KeyRecord, Scope};
use engine_core::digest::Hash;
use engine_core::wire::{CreateToken, TokenSource, TokenView};
use engine_log::storage::{FilePermissions, Storage, read_small, replace};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use service::regular_file;

use super::files::projects;

const DIRECTORY: &str = "access";
const FILE: &str = "keys.json";
/// Maximum number of keys. Each takes some kilobytes at most, and all are read and written at once.
pub(super) const STORED_KEYS_MAX: usize = 1_024;
/// Maximum size of the file, bytes: the most keys, each with 64 projects of 64 characters of four bytes.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// A key of the engine, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredKey {
    pub(super) name: String,
    id: String,
    sha256: Hash,
    scopes: Vec<Scope>,
    projects: Vec<String>,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_used: Option<Timestamp>,
}

impl StoredKey {
    pub(super) fn new(key: &ApiKey, request: CreateToken, now: Timestamp) -> StoredKey {
        let CreateToken { name, scopes, projects, expires } = request;
        let (id, sha256) = (key.id().to_owned(), key.hash());
        StoredKey { name, id, sha256, scopes, projects, created: now, expires, last_used: None }
    }

    pub(super) fn record(&self) -> KeyRecord {
        let caller = Caller {
            name: self.name.clone(),
            kind: CallerKind::StoredKey,
            scopes: self.scopes.clone(),
            projects: projects(&self.projects),
        };
        KeyRecord { hash: self.sha256, caller: Arc::new(caller), expires: self.expires }
    }

    /// The same key, used at this time if that is later than what was known.
    pub(super) fn used(self, last: Option<Timestamp>) -> StoredKey {
        StoredKey { last_used: last.max(self.last_used), ..self }
    }

    pub(super) fn view(&self) -> TokenView {
        let StoredKey { name, id, sha256: _, scopes, projects, created, expires, last_used } = self.clone();
        TokenView {
            name,
            id: Some(id),
            source: TokenSource::Engine,
            scopes,
            projects,
            created: Some(created),
            expires,
            last_used,
        }
    }
}

/// The content of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    keys: Vec<StoredKey>,
}

/// The keys on the volume.
#[derive(Debug)]
pub(super) struct StoredKeys {
    storage: Arc<dyn Storage>,
    keys: Vec<StoredKey>,
    /// Whether the file could not be read. It is then left as it is, and none of its keys is accepted.
    pub(super) is_unreadable: bool,
}

impl StoredKeys {
    pub(super) fn open(storage: Arc<dyn Storage>) -> StoredKeys {
        let found = read_small(&*storage, &format!("{DIRECTORY}/{FILE}"), FILE_BYTES_MAX);
        let content = match found {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Content::default()),
            found => found.and_then(|bytes| Ok(serde_json::from_slice::<Content>(&bytes)?)),
        };
        let is_unreadable = content.is_err();
        let Content { keys } = content.unwrap_or_else(|fault| {
            tracing::error!(%fault, "{DIRECTORY}/{FILE} cannot be read: none of its keys is accepted");
            Content::default()
        });
        StoredKeys { storage, keys, is_unreadable }
    }

    pub(super) fn all(&self) -> &[StoredKey] {
        &self.keys
    }

    /// Replaces the keys. They are in force when the file is durable.
    ///
    /// # Errors
    /// The file cannot be written; nothing has changed then.
    pub(super) fn set(&mut self, keys: Vec<StoredKey>) -> io::Result<()> {
        if self.is_unreadable {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{DIRECTORY}/{FILE} cannot be read"),
            ));
        }
        let content = Content { keys };
        let bytes = serde_json::to_vec_pretty(&content)?;
        self.storage.create_directory(DIRECTORY)?;
        replace(&*self.storage, DIRECTORY, FILE, FilePermissions::Owner, &bytes)?;
        self.keys = content.keys;
        Ok(())
    }
}

/// Whether a data directory has keys of its engine. Used before the engine starts.
pub(crate) fn has_stored_keys(data: &Path) -> bool {
    let bytes = regular_file::read(&data.join(DIRECTORY).join(FILE), FILE_BYTES_MAX);
    let content = bytes.ok().and_then(|bytes| serde_json::from_slice::<Content>(&bytes).ok());
    content.is_some_and(|content| !content.keys.is_empty())
}
