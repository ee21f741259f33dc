//! Disk reserve of the projection. On a full volume SQLite cannot even read, because it has to create its shared-memory
//! file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Size of the reserve. It covers the shared-memory file, the write-ahead log and their metadata. It is smaller than
/// the log's own reserve, so that events do not use the space when it is released.
const RESERVE_BYTES: u64 = 256 << 10;

fn path(directory: &Path) -> PathBuf {
    directory.join("reserve")
}

/// Allocates the reserve, unless it is already allocated.
pub(super) fn take(directory: &Path) -> io::Result<()> {
    let file = File::options().create(true).truncate(false).write(true).open(path(directory))?;
    Ok(fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES)?)
}

/// Releases the reserve. Returns whether a reserve was allocated.
pub(super) fn release(directory: &Path) -> bool {
    fs::remove_file(path(directory)).is_ok()
}
