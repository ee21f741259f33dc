//! The key of the tokens (pseudonyms) that replace personal data in identifiers: `keys/pseudonym.key`, 64 hex digits.
//! It is created with the log. Once the log contains tokens, an event records which key made them, so a wrong or lost
//! key is detected. With another key, the same name would get another token.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use engine_core::event::{Draft, LOG_PROJECT, LOG_PSEUDONYMS_KEYED, PseudonymsKeyedPayload};
use engine_core::policy::PseudonymKey;
use thiserror::Error;
use tokio::sync::Mutex;

use engine_log::Clock;
use engine_log::storage::{FilePermissions, Storage, read_small, replace};
use engine_log::{Key, list};
use engine_projection::{ProjectionShared, Unreadable, setting};

const DIRECTORY: &str = "keys";
const FILE: &str = "pseudonym.key";
/// Maximum size of the key file, bytes. The engine writes much smaller files.
const FILE_BYTES_MAX: u64 = 4096;
/// Actor of the event that records the key.
const ACTOR: &str = "memory-engine";

/// Why names with personal data cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum KeyFault {
    /// The log has tokens, and the key that made them is missing or replaced.
    #[error(
        "{DIRECTORY}/{FILE} is missing or is not the key of this log, so names with personal data cannot be resolved"
    )]
    Lost,
    /// The log is of another engine, which has the key.
    #[error("only the engine that is followed can resolve names with personal data")]
    Elsewhere,
    #[error("{DIRECTORY}/{FILE} cannot be read or written now")]
    Volume,
    /// It is not known yet which key the log records.
    #[error("it is not known yet which pseudonym key the log uses")]
    Unknown,
}

/// The key of one log. It is set after the key was verified against the log.
#[derive(Debug)]
pub(crate) struct Pseudonyms {
    storage: Arc<dyn Storage>,
    sources: Clock,
    /// Whether this engine owns the log, and may make its key.
    is_owner: bool,
    key: OnceLock<PseudonymKey>,
    /// Lock with which one task loads the key while the others wait for its result.
    turn: Mutex<()>,
    /// Whether the log records which key made its tokens.
    recorded: AtomicBool,
    lost: AtomicBool,
}

impl Pseudonyms {
    /// Creates the key if the log is new and this engine owns it: the tokens of a copy are made elsewhere.
    pub(crate) fn start(storage: Arc<dyn Storage>, sources: Clock, is_owner: bool) -> Pseudonyms {
        let (key, turn) = (OnceLock::new(), Mutex::default());
        let pseudonyms =
            Pseudonyms { storage, sources, is_owner, key, turn, recorded: false.into(), lost: false.into() };
        if !is_owner {
            return pseudonyms;
        }
        match pseudonyms.is_of_a_new_log() {
            Ok(true) => match pseudonyms.create_key() {
                Ok(key) => drop(pseudonyms.key.set(key)),
                // Writing the key is tried again when a name needs the key.
                Err(fault) => tracing::warn!(%fault, "the pseudonym key was not written, retried on use"),
            },
            Ok(false) => {}
            Err(fault) => tracing::warn!(%fault, "the pseudonym key was not looked up, retried on use"),
        }
        pseudonyms
    }

    fn is_of_a_new_log(&self) -> io::Result<bool> {
        Ok(list(&*self.storage)?.segments.is_empty() && self.read()?.is_none())
    }

    /// The key, if it is loaded.
    pub(crate) fn known(&self) -> Option<&PseudonymKey> {
        self.key.get()
    }

    /// Whether the log has tokens whose key is missing.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Loads the key and verifies it against the record in the log. `head` is the sequence number of the last durable
    /// event.
    ///
    /// # Errors
    /// The key is missing or wrong, cannot be read or written, or the record cannot be read yet.
    pub(crate) async fn key(
        &self,
        projection: &Arc<ProjectionShared>,
        head: u64,
    ) -> Result<PseudonymKey, KeyFault> {
        if let Some(key) = self.key.get() {
            return Ok(key.clone());
        }
        let _turn = self.turn.lock().await;
        if let Some(key) = self.key.get() {
            return Ok(key.clone());
        }
        let named = projection.read(head, |connection| setting(connection, LOG_PSEUDONYMS_KEYED)).await;
        let named = named.map_err(|fault: Unreadable| {
            tracing::debug!(%fault, "the pseudonym key cannot be verified yet");
            KeyFault::Unknown
        })?;
        let wanted = named.and_then(|(_, _, payload)| serde_json::from_str(&payload).ok());
        let outcome = self.load_or_create(wanted);
        self.lost.store(outcome == Err(KeyFault::Lost), Ordering::Release);
        outcome.map(|key| self.key.get_or_init(|| key).clone())
    }

    /// Compares the key file with the record in the log, and creates the key if neither exists.
    fn load_or_create(&self, wanted: Option<PseudonymsKeyedPayload>) -> Result<PseudonymKey, KeyFault> {
        let failed = |fault: io::Error| {
            tracing::error!(%fault, "the pseudonym key cannot be read or written");
            KeyFault::Volume
        };
        let found = self.read().map_err(failed)?;
        match (found, wanted) {
            (None, _) if !self.is_owner => Err(KeyFault::Elsewhere),
            (Some(key), Some(wanted)) if key.check() == wanted.check => {
                self.recorded.store(true, Ordering::Release);
                Ok(key)
            }
            (_, Some(wanted)) => {
                tracing::error!(
                    file = format!("{DIRECTORY}/{FILE}"),
                    key = wanted.check,
                    "the pseudonym key of this log is lost: restore the file from a backup of the volume"
                );
                Err(KeyFault::Lost)
            }
            (Some(key), None) => Ok(key),
            // No name was stored as a token yet, so a new key changes no token.
            (None, None) => self.create_key().map_err(failed),
        }
    }

    fn read(&self) -> io::Result<Option<PseudonymKey>> {
        let bytes = match read_small(&*self.storage, &format!("{DIRECTORY}/{FILE}"), FILE_BYTES_MAX) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let key = PseudonymKey::parse(String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
        let fault =
            || io::Error::new(io::ErrorKind::InvalidData, format!("{DIRECTORY}/{FILE} has no valid key"));
        key.map(Some).ok_or_else(fault)
    }

    /// Creates the key file.
    fn create_key(&self) -> io::Result<PseudonymKey> {
        self.storage.create_directory(DIRECTORY)?;
        let key = PseudonymKey::new(self.sources.bytes());
        let text = format!("{}\n", key.secret_text());
        replace(&*self.storage, DIRECTORY, FILE, FilePermissions::Owner, text.as_bytes())?;
        tracing::info!(key = key.check(), "personal data in identifiers is stored as tokens of a new key");
        Ok(key)
    }

    /// The event that has to be durable before the first token is written; `None` if it is durable already.
    pub(crate) fn unrecorded(&self) -> Option<(Draft, Key)> {
        if self.recorded.load(Ordering::Acquire) {
            return None;
        }
        let check = self.key.get()?.check();
        let payload = serde_json::value::to_raw_value(&PseudonymsKeyedPayload { check: check.clone() })
            .expect("a struct of one string is always JSON");
        let key = Key { key: format!("pseudonyms-{check}"), request: payload.get().as_bytes().to_vec() };
        let draft = Draft {
            kind: LOG_PSEUDONYMS_KEYED.into(),
            actor: ACTOR.into(),
            project: LOG_PROJECT.into(),
            session: None,
            causes: Vec::new(),
            payload,
        };
        Some((draft, key))
    }

    /// Notes that the event that records the key is durable.
    pub(crate) fn recorded(&self) {
        self.recorded.store(true, Ordering::Release);
    }
}
