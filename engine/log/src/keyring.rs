//! The keys that sign checkpoints, and their rotation.
//!
//! | file in `keys/` | contents |
//! |---|---|
//! | `checkpoint.key` | the current signing key |
//! | `checkpoint.key.next` | the next key; the log may not record it yet; the next start completes the rotation |
//! | `checkpoint.key.previous` | the previous key; signs too until whoever keeps an anchor knows the new key |
//! | `checkpoint.key.unusable` | a file found at `checkpoint.key` that is not a key of this log |

use std::io;

use engine_core::checkpoint::origin;
use engine_core::note::{SignerKey, VerifierKey};

use super::commit::KeyRotated;
use crate::clock::Clock;
use crate::storage::{FailPoint, FilePermissions, Storage, ignore_missing, read_small, replace};

const DIRECTORY: &str = "keys";
const KEY: &str = "checkpoint.key";
const NEXT: &str = "checkpoint.key.next";
const PREVIOUS: &str = "checkpoint.key.previous";
const UNUSABLE: &str = "checkpoint.key.unusable";
/// Maximum size in bytes of a key file that this engine writes.
const KEY_BYTES_MAX: u64 = 4096;

/// The keys of one log.
#[derive(Debug)]
pub(super) struct Keyring {
    pub(super) current: SignerKey,
    /// Also signs checkpoints.
    pub(super) previous: Option<SignerKey>,
    /// Becomes the current key once the log records the rotation.
    pub(super) next: Option<SignerKey>,
}

impl Keyring {
    /// Reads the stored keys. `None` when no key is usable.
    pub(super) fn load(storage: &dyn Storage) -> io::Result<Option<Keyring>> {
        let Some(current) = read(storage, KEY)? else { return Ok(None) };
        Ok(Some(Keyring { current, previous: read(storage, PREVIOUS)?, next: read(storage, NEXT)? }))
    }

    /// The keys of this log: the loaded keys if they belong to it, otherwise a new key.
    pub(super) fn of_log(
        storage: &dyn Storage,
        loaded: Option<Keyring>,
        log_id: &str,
        sources: &Clock,
    ) -> io::Result<Keyring> {
        let name = origin(log_id);
        match loaded {
            Some(keyring) if keyring.current.verifier().name() == name => Ok(keyring),
            _ => Keyring::mint(storage, &name, sources),
        }
    }

    fn mint(storage: &dyn Storage, name: &str, sources: &Clock) -> io::Result<Keyring> {
        storage.create_directory(DIRECTORY)?;
        let path = path(KEY);
        if storage.status(&path).is_ok() {
            tracing::error!(
                path,
                "this is not a key of this log: it is set aside, and checkpoints get a new key"
            );
            storage.rename(&path, &self::path(UNUSABLE))?;
        }
        let current = fresh(name, sources)?;
        write(storage, KEY, &current)?;
        tracing::info!(key = %current.verifier(), "checkpoints are signed with a new key");
        Ok(Keyring { current, previous: None, next: None })
    }

    /// Generates and stores the next key, unless one is already stored.
    pub(super) fn prepare(&mut self, storage: &dyn Storage, sources: &Clock) -> io::Result<()> {
        if self.next.is_none() {
            let next = fresh(self.current.verifier().name(), sources)?;
            write(storage, NEXT, &next)?;
            storage.reached(FailPoint::NextKeyWritten)?;
            self.next = Some(next);
        }
        Ok(())
    }

    /// The key rotation that was started and is not complete, if any.
    pub(super) fn rotation(&self) -> Option<KeyRotated> {
        let next = self.next.as_ref()?;
        Some(KeyRotated { old: self.current.verifier().to_string(), new: next.verifier().to_string() })
    }

    /// Makes the next key the current one, after the log has recorded the rotation.
    pub(super) fn promote(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let Some(next) = self.next.take() else { return Ok(()) };
        let promoted = self.write_promotion(storage);
        match promoted {
            Ok(()) => self.previous = Some(std::mem::replace(&mut self.current, next)),
            Err(_) => self.next = Some(next),
        }
        promoted
    }

    fn write_promotion(&self, storage: &dyn Storage) -> io::Result<()> {
        storage.reached(FailPoint::NextKeyRecorded)?;
        // Store the old key under its new name before replacing it, because it still has to sign.
        write(storage, PREVIOUS, &self.current)?;
        storage.rename(&path(NEXT), &path(KEY))?;
        storage.sync_directory(DIRECTORY)?;
        storage.reached(FailPoint::NextKeyNamed)
    }

    /// Deletes the previous key. It has to have signed a checkpoint together with the current key.
    pub(super) fn retire_previous(&mut self, storage: &dyn Storage) -> io::Result<()> {
        if self.previous.is_some() {
            ignore_missing(storage.remove(&path(PREVIOUS)))?;
            self.previous = None;
        }
        Ok(())
    }

    /// Keys that sign checkpoints.
    pub(super) fn signers(&self) -> Vec<&SignerKey> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().collect()
    }

    /// Keys whose signatures are accepted.
    pub(super) fn verifiers(&self) -> Vec<VerifierKey> {
        self.signers().into_iter().map(|key| key.verifier().clone()).collect()
    }
}

fn path(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

fn read(storage: &dyn Storage, name: &str) -> io::Result<Option<SignerKey>> {
    let bytes = match read_small(storage, &path(name), KEY_BYTES_MAX) {
        Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            return Ok(None);
        }
        bytes => bytes?,
    };
    let text = String::from_utf8_lossy(&bytes);
    Ok(SignerKey::parse(text.trim_end_matches('\n')).ok())
}

fn write(storage: &dyn Storage, name: &str, key: &SignerKey) -> io::Result<()> {
    replace(storage, DIRECTORY, name, FilePermissions::Owner, format!("{}\n", key.secret_text()).as_bytes())
}

fn fresh(name: &str, sources: &Clock) -> io::Result<SignerKey> {
    SignerKey::from_seed(name, sources.bytes()).map_err(io::Error::other)
}
