//! `mode/mode.json` on the volume: the mode for the next start, also if nobody can be asked then.

use std::sync::Arc;

use engine_core::guard::{Guard, GuardSettings, ModeFileState, Now, Saved};
use engine_core::mode::Mode;
use engine_core::wire::Teller;
use engine_log::storage::{FilePermissions, Storage, read_small, replace};
use serde::{Deserialize, Serialize};

const DIRECTORY: &str = "mode";
const FILE: &str = "mode.json";
/// Maximum size of the file, bytes. The engine writes much smaller files.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The file.
#[derive(Debug)]
pub(super) struct ModeFile {
    storage: Arc<dyn Storage>,
}

/// What was found on the volume.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) guard: Guard,
    pub(super) told_by: Option<Teller>,
    pub(super) file: ModeFileState,
}

/// Content of the file, to write it and to read it.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    saved: &'a Saved,
    #[serde(skip_serializing_if = "Option::is_none")]
    told_by: Option<&'a Teller>,
}

#[derive(Deserialize)]
struct Stored {
    #[serde(flatten)]
    saved: Saved,
    told_by: Option<Teller>,
}

impl ModeFile {
    pub(super) fn new(storage: Arc<dyn Storage>) -> ModeFile {
        ModeFile { storage }
    }

    /// The state that the file holds. Without a file `initial` is wanted.
    ///
    /// # Errors
    /// The file cannot be read now, or its content is not valid (`InvalidData`).
    pub(super) fn read(&self, now: Now, settings: &GuardSettings, initial: Mode) -> std::io::Result<Found> {
        Ok(match self.stored()? {
            Some(Stored { saved, told_by }) => {
                Found { guard: Guard::resume(saved, now, settings), told_by, file: ModeFileState::Read }
            }
            None => Found { guard: Guard::new(initial, now), told_by: None, file: ModeFileState::Missing },
        })
    }

    fn stored(&self) -> std::io::Result<Option<Stored>> {
        let bytes = match read_small(&*self.storage, &format!("{DIRECTORY}/{FILE}"), FILE_BYTES_MAX) {
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "the content is not that of a mode")
        })
    }

    pub(super) fn write(&self, saved: &Saved, told_by: Option<&Teller>) -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(&Written { saved, told_by })?;
        text.push(b'\n');
        self.storage.create_directory(DIRECTORY)?;
        replace(&*self.storage, DIRECTORY, FILE, FilePermissions::Group, &text)
    }
}
