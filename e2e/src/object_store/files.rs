//! Objects as the store keeps them: a folder for each bucket, a file for each object.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Folder in a bucket in which the store keeps requests that are not finished.
const UNFINISHED: &str = ".sgwtmp";

/// An object of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredObject {
    /// Its name, with slashes.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// A path below the data folder. Names that lead elsewhere are refused: the caller is root of this machine.
fn below(data: &Path, name: &str) -> Result<PathBuf> {
    let name = Path::new(name);
    let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(is_plain && name.components().next().is_some(), "{} is no name", name.display());
    Ok(data.join(name))
}

pub(super) fn remove_bucket(data: &Path, bucket: &str) -> Result<()> {
    match fs::remove_dir_all(below(data, bucket)?) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("removing the bucket"),
        _ => Ok(()),
    }
}

pub(super) fn objects(data: &Path, bucket: &str) -> Result<Vec<StoredObject>> {
    let bucket = below(data, bucket)?;
    let mut found = Vec::new();
    let mut folders = vec![bucket.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let is_unfinished = folder == bucket && entry.file_name() == UNFINISHED;
                folders.extend((!is_unfinished).then(|| entry.path()));
            } else {
                let name = entry.path().strip_prefix(&bucket)?.display().to_string();
                found.push(StoredObject { name, size: entry.metadata()?.len() });
            }
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn remove(data: &Path, bucket: &str, name: &str) -> Result<()> {
    fs::remove_file(below(&below(data, bucket)?, name)?).with_context(|| format!("removing {name}"))
}

pub(super) fn flip_byte(data: &Path, bucket: &str, name: &str) -> Result<()> {
    let path = below(&below(data, bucket)?, name)?;
    // In place: the store keeps what it knows about an object in attributes of the file.
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.with_context(|| format!("opening {name}"))?;
    let size = file.metadata()?.len();
    ensure!(size > 0, "{name} is empty");
    let mut byte = [0];
    file.read_exact_at(&mut byte, size / 2)?;
    file.write_all_at(&[byte[0] ^ 1], size / 2)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir_all(data.path().join("notes/a/b")).unwrap();
        fs::create_dir_all(data.path().join("notes").join(UNFINISHED)).unwrap();
        fs::write(data.path().join("notes").join(UNFINISHED).join("part"), "unfinished").unwrap();
        fs::write(data.path().join("notes/a/b/c"), "one").unwrap();
        fs::write(data.path().join("notes/z"), "").unwrap();
        data
    }

    #[test]
    fn objects_have_the_names_of_their_files() {
        let data = store();
        let found = objects(data.path(), "notes").unwrap();
        let object = |name: &str, size| StoredObject { name: name.to_owned(), size };
        assert_eq!(found, [object("a/b/c", 3), object("z", 0)]);
        assert!(objects(data.path(), "other").is_err(), "no such bucket");
    }

    #[test]
    fn damage_is_what_was_asked_for() {
        let data = store();
        flip_byte(data.path(), "notes", "a/b/c").unwrap();
        assert_eq!(fs::read(data.path().join("notes/a/b/c")).unwrap(), b"ooe");
        assert!(flip_byte(data.path(), "notes", "z").is_err(), "an empty object");
        remove(data.path(), "notes", "z").unwrap();
        assert!(remove(data.path(), "notes", "z").is_err(), "it is gone");
        remove_bucket(data.path(), "notes").unwrap();
        remove_bucket(data.path(), "notes").unwrap();
        assert!(!data.path().join("notes").exists());
    }

    #[test]
    fn names_cannot_lead_out_of_the_store() {
        let data = store();
        for name in ["", ".", "..", "../x", "/etc/passwd", "a/../../x"] {
            assert!(below(data.path(), name).is_err(), "{name:?}");
        }
    }
}
