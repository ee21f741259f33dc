//! The file that says from what the log of a data directory was restored. It gets its place just before the log, so
//! that a directory with a log and this file was restored completely.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use engine_core::wire::RestoredLog;
use engine_log::storage::sync_directory;

/// Name of the file.
pub(crate) const FILE: &str = "restored.json";
/// Maximum size of the file, bytes: its longest texts are a reason and a name.
const BYTES_MAX: u64 = 16 << 10;

/// Reads the file of a data directory; `None` if there is none. An invalid one counts as an error.
///
/// # Errors
/// The file cannot be read, or is not valid.
pub fn read(directory: &Path) -> std::io::Result<Option<RestoredLog>> {
    match service::regular_file::read(&directory.join(FILE), BYTES_MAX) {
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(Some(serde_json::from_slice(&bytes?)?)),
    }
}

/// Whether the directory has a log that was restored for the request with this id.
///
/// # Errors
/// The file cannot be read, or is not valid.
pub fn restored_for(directory: &Path, id: &str) -> std::io::Result<Option<RestoredLog>> {
    if !directory.join("log").exists() {
        return Ok(None);
    }
    Ok(read(directory)?.filter(|restored| restored.id.as_deref() == Some(id)))
}

/// Writes the file, durably.
pub(crate) fn write(directory: &Path, restored: &RestoredLog) -> std::io::Result<()> {
    let path = directory.join(FILE);
    let mut file = File::create(&path)?;
    file.write_all(&serde_json::to_vec_pretty(restored)?)?;
    file.sync_all()?;
    sync_directory(directory)
}

/// Removes the file of a restore that did not get to the log.
pub(crate) fn remove_leftover(directory: &Path) -> std::io::Result<()> {
    match fs::remove_file(directory.join(FILE)) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_restored_for_the_same_request_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let restored = RestoredLog { id: Some("a".to_owned()), ..RestoredLog::default() };
        assert_eq!(restored_for(path, "a").unwrap(), None);
        write(path, &restored).unwrap();
        assert_eq!(restored_for(path, "a").unwrap(), None, "without a log nothing was restored");
        fs::create_dir(path.join("log")).unwrap();
        assert_eq!(restored_for(path, "a").unwrap(), Some(restored));
        assert_eq!(restored_for(path, "b").unwrap(), None);
        fs::write(path.join(FILE), "{").unwrap();
        assert!(restored_for(path, "a").is_err());
    }
}
