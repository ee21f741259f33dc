//! File names of the projection. A database is built under a temporary name and published under a new name each time.
//! Old files, which readers may still have open, are therefore never mistaken for new ones.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use engine_log::storage::sync_directory;

/// Directory of the projection inside a data directory.
pub fn directory(data: &Path) -> PathBuf {
    data.join("projection")
}

/// Path of the published database with this generation number.
pub(super) fn database(directory: &Path, generation: u64) -> PathBuf {
    directory.join(format!("memories-{generation}.sqlite"))
}

/// Path of the database that is being built.
pub(super) fn building(directory: &Path) -> PathBuf {
    directory.join("building.sqlite")
}

/// Generation of the newest published database. `None` if no database is published.
pub(super) fn newest(directory: &Path) -> io::Result<Option<u64>> {
    let mut newest = None;
    for name in names(directory)? {
        newest = newest.max(generation(&name));
    }
    Ok(newest)
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn generation(name: &str) -> Option<u64> {
    name.strip_prefix("memories-")?.strip_suffix(".sqlite")?.parse().ok()
}

/// Publishes the built database as this generation. After a power cut, the database is either published completely or
/// absent.
pub(super) fn publish(directory: &Path, generation: u64) -> io::Result<PathBuf> {
    let (from, to) = (building(directory), database(directory, generation));
    // The database was written without syncs.
    File::open(&from)?.sync_all()?;
    fs::rename(&from, &to)?;
    sync_directory(directory)?;
    Ok(to)
}

/// Removes every database except the published database of generation `keep`: old, partial and from older versions of
/// the engine.
pub(super) fn remove_all_but(directory: &Path, keep: Option<u64>) -> io::Result<()> {
    let kept = keep.map(|generation| format!("memories-{generation}.sqlite"));
    for name in names(directory)? {
        let ours = name.starts_with("memories") || name.starts_with("building");
        if ours && !kept.as_ref().is_some_and(|kept| name.starts_with(kept.as_str())) {
            remove(&directory.join(name))?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_kept_and_all_else_of_ours_removed() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(newest(&directory.path().join("none")).unwrap(), None);
        let all = [
            "memories.sqlite",
            "memories-9.sqlite",
            "memories-9.sqlite-wal",
            "memories-10.sqlite",
            "memories-10.sqlite-shm",
            "memories-x.sqlite",
            "building.sqlite",
            "reserve",
        ];
        for name in all {
            fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(newest(directory.path()).unwrap(), Some(10));
        remove_all_but(directory.path(), Some(10)).unwrap();
        let mut left = names(directory.path()).unwrap();
        left.sort();
        assert_eq!(left, ["memories-10.sqlite", "memories-10.sqlite-shm", "reserve"]);
    }
}
