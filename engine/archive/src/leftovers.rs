//! Files in a directory with objects that are no objects: a process was killed while it wrote one.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Removes such files that are at least `older_than` this. Returns their number.
pub(crate) fn remove(directory: &Path, older_than: Duration) -> io::Result<u64> {
    let entries = match fs::read_dir(directory) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        // What a link names is not looked at.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            removed += remove(&entry.path(), older_than)?;
        } else if kind.is_file() && is_leftover(&entry.file_name().to_string_lossy()) {
            removed += u64::from(remove_file(&entry.path(), older_than)?);
        }
    }
    Ok(removed)
}

/// The library writes an object to a file whose name ends with a number, and renames it at the end. It refuses objects
/// with such names.
fn is_leftover(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns false if it is too young, or somebody else has renamed or removed it.
fn remove_file(path: &Path, older_than: Duration) -> io::Result<bool> {
    let removed = fs::metadata(path).and_then(|metadata| {
        let age = SystemTime::now().duration_since(metadata.modified()?).unwrap_or_default();
        if age < older_than { Ok(false) } else { fs::remove_file(path).map(|()| true) }
    });
    match removed {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_object_can_be_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("log/keys")).unwrap();
        let at = |name: &str| directory.path().join("log/keys").join(name);
        for name in ["a", "a#1", "b#12", "c#", "d#1x"] {
            fs::write(at(name), "key").unwrap();
        }
        std::os::unix::fs::symlink(at("a"), at("e#1")).unwrap();
        assert_eq!(remove(directory.path(), Duration::from_secs(3_600)).unwrap(), 0, "they are too young");
        assert_eq!(remove(directory.path(), Duration::ZERO).unwrap(), 2);
        let mut left: Vec<_> =
            fs::read_dir(at("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", "c#", "d#1x", "e#1"]);
        assert_eq!(remove(&directory.path().join("none"), Duration::ZERO).unwrap(), 0);
    }
}
