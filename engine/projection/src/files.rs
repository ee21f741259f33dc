//! The projection's files. A database is built under one name and published under a new one each time, so that the
//! files of an old one, which readers may still have open, are never mistaken for those of the new one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use engine_log::storage::sync_directory;

/// Where the projection lies in a data directory.
pub fn directory(data: &Path) -> PathBuf {
    data.join("projection")
}

/// The database that answers, by the number of its making.
pub(super) fn database(directory: &Path, generation: u64) -> PathBuf {
    directory.join(format!("memories-{generation}.sqlite"))
}

/// The database that is being built.
pub(super) fn building(directory: &Path) -> PathBuf {
    directory.join("building.sqlite")
}

/// The newest database that was published.
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

/// Makes the database that was built the newest one. After a power cut it is that, or it is not there at all.
pub(super) fn publish(directory: &Path, generation: u64) -> io::Result<PathBuf> {
    let (from, to) = (building(directory), database(directory, generation));
    // It was written without syncs.
    File::open(&from)?.sync_all()?;
    fs::rename(&from, &to)?;
    sync_directory(directory)?;
    Ok(to)
}

/// Removes every database but this one: old ones, half-built ones, those of older versions.
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
