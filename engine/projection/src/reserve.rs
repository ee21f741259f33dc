//! A little space for the day there is none: SQLite cannot even be read without making its shared-memory file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Shared-memory file, write-ahead log and their metadata. Less than what the log keeps free of events, so that no
/// event is written into it.
const RESERVE_BYTES: u64 = 256 << 10;

fn path(directory: &Path) -> PathBuf {
    directory.join("reserve")
}

/// Takes the space, if it is not taken.
pub(super) fn take(directory: &Path) -> io::Result<()> {
    let file = File::options().create(true).truncate(false).write(true).open(path(directory))?;
    Ok(fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES)?)
}

/// Gives the space to whoever needs it now; whether there was any.
pub(super) fn release(directory: &Path) -> bool {
    fs::remove_file(path(directory)).is_ok()
}
