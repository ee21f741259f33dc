//! `follow/broken.json`: says across restarts that the chain of this copy is broken. Nobody but a person removes it, by
//! throwing the copy away.

use std::io;

use engine_core::wire::ChainFault;
use engine_log::storage::{FilePermissions, Storage, read_small, replace};
use jiff::Timestamp;

const DIRECTORY: &str = "follow";
const FILE: &str = "broken.json";
/// Maximum size of the file, bytes. A message has a few hundred.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Reads the file. A file that cannot be understood says that the chain is broken too.
pub(super) fn read(storage: &dyn Storage) -> io::Result<Option<ChainFault>> {
    let bytes = match read_small(storage, &format!("{DIRECTORY}/{FILE}"), FILE_BYTES_MAX) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| ChainFault {
        reason: "damaged".to_owned(),
        message: format!("{DIRECTORY}/{FILE} cannot be read"),
        at: Timestamp::now(),
    })))
}

pub(super) fn write(storage: &dyn Storage, fault: &ChainFault) -> io::Result<()> {
    storage.create_directory(DIRECTORY)?;
    let text = serde_json::to_vec(fault)?;
    replace(storage, DIRECTORY, FILE, FilePermissions::Group, &text)
}
