//! `rehearsal/questions.json` on the volume: the questions of clients that are kept.

use std::io;
use std::sync::Arc;

use engine_core::rollout::questions::Asked;
use engine_log::storage::{FilePermissions, Storage, ignore_missing, read_small, replace};
use serde::{Deserialize, Serialize};

const DIRECTORY: &str = "rehearsal";
const FILE: &str = "questions.json";
/// Maximum size of the file, bytes. The questions have 4 MiB at most, and each of them a moment.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// The canary that was asked them last, so that a process that starts again does not ask it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rehearsed: Option<String>,
    pub(super) questions: Vec<Asked>,
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct QuestionFile {
    storage: Arc<dyn Storage>,
}

impl QuestionFile {
    pub(super) fn new(storage: Arc<dyn Storage>) -> QuestionFile {
        QuestionFile { storage }
    }

    /// What the file has; nothing if there is none, or if it cannot be read: it is no reason not to start.
    pub(super) fn read(&self) -> Stored {
        let path = format!("{DIRECTORY}/{FILE}");
        let bytes = match read_small(&*self.storage, &path, FILE_BYTES_MAX) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Stored::default(),
            bytes => bytes,
        };
        // The fault of a text could quote it.
        let parse = |bytes: Vec<u8>| {
            serde_json::from_slice(&bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
        };
        bytes.and_then(parse).unwrap_or_else(|fault| {
            tracing::warn!(path, %fault, "the recorded questions cannot be read: the record begins anew");
            Stored::default()
        })
    }

    pub(super) fn write(&self, stored: &Stored) -> io::Result<()> {
        let mut text = serde_json::to_vec(stored)?;
        text.push(b'\n');
        self.storage.create_directory(DIRECTORY)?;
        replace(&*self.storage, DIRECTORY, FILE, FilePermissions::Group, &text)
    }

    /// Removes the file, if there is one.
    pub(super) fn remove(&self) {
        let path = format!("{DIRECTORY}/{FILE}");
        if let Err(fault) = ignore_missing(self.storage.remove(&path)) {
            tracing::warn!(path, %fault, "the questions that were recorded before could not be removed");
        }
    }
}
