//! Files with secrets: whether anybody else can read or change one. The mode of the opened file counts, so that a
//! symbolic link, or a file that is swapped meanwhile, shows nothing wrong.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use engine_core::file_mode::{FileMode, ModeFault, ProcessIds, judge};
use rustix::process::{getegid, geteuid, getgroups};

use crate::regular_file;

/// What is done with a file that somebody else can read or change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exposed {
    /// It is used, and reported.
    #[default]
    Reported,
    /// It is not used.
    Refused,
}

/// Why somebody else can read or change an opened file; none if nobody can.
///
/// # Errors
/// The owner of the file, or the groups of the process, cannot be read.
pub fn exposure(file: &File) -> io::Result<Option<ModeFault>> {
    let metadata = file.metadata()?;
    let file = FileMode { mode: metadata.mode(), user: metadata.uid(), group: metadata.gid() };
    let mut groups: Vec<u32> = getgroups()?.into_iter().map(|group| group.as_raw()).collect();
    groups.push(getegid().as_raw());
    Ok(judge(file, &ProcessIds { user: geteuid().as_raw(), groups }).err())
}

/// Reads a file of at most `bytes_max` bytes, with what [`exposure`] says of it.
///
/// # Errors
/// As [`regular_file::read`], or it is exposed and such a file is refused.
pub fn read(path: &Path, bytes_max: u64, exposed: Exposed) -> io::Result<(Vec<u8>, Option<ModeFault>)> {
    let file = regular_file::open(std::fs::OpenOptions::new().read(true), path)?;
    let fault = exposure(&file)?;
    if let (Exposed::Refused, Some(fault)) = (exposed, fault) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, fault));
    }
    Ok((regular_file::read_opened(file, bytes_max)?, fault))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_mode_of_the_file_counts_and_not_that_of_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("key"), "k").unwrap();
        // A link has the mode 0777.
        std::os::unix::fs::symlink(at("key"), at("link")).unwrap();
        for (mode, expected) in [
            (0o400, None),
            (0o440, None),
            (0o444, Some(ModeFault::ReadableByAll)),
            (0o620, Some(ModeFault::Writable)),
        ] {
            fs::set_permissions(at("key"), Permissions::from_mode(mode)).unwrap();
            for name in ["key", "link"] {
                let (text, fault) = read(&at(name), 8, Exposed::Reported).unwrap();
                assert_eq!((text.as_slice(), fault), (b"k".as_slice(), expected), "{mode:o} {name}");
                let refused = read(&at(name), 8, Exposed::Refused);
                assert_eq!(refused.is_err(), expected.is_some(), "{mode:o} {name}");
            }
        }
        assert!(read(&at("nothing"), 8, Exposed::Reported).is_err());
    }
}
