//! Paths on this machine. Nothing is ever written into the checkout.

use std::env;
use std::path::{Path, PathBuf};

/// The folder for built programs, image archives and root file systems: expensive to make, safe to delete.
/// `${XDG_CACHE_HOME:-$HOME/.cache}/memoryengine`.
#[must_use]
pub fn cache_dir() -> PathBuf {
    base_dir("XDG_CACHE_HOME", ".cache").join("memoryengine")
}

/// The folder for the state of a running cluster. `${XDG_STATE_HOME:-$HOME/.local/state}/memoryengine`.
#[must_use]
pub fn state_dir() -> PathBuf {
    base_dir("XDG_STATE_HOME", ".local/state").join("memoryengine")
}

/// The checkout from which the tool modules and the Containerfile are read: the checkout in which cargo runs this
/// program, or without cargo the checkout from which the program was compiled. The two differ when two checkouts share
/// a target folder, because cargo does not recompile for another checkout.
#[must_use]
pub fn checkout_dir() -> PathBuf {
    let member = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    member.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Applies the freedesktop rule: `variable` if it is an absolute path, else the folder `below_home` in the home
/// directory.
fn base_dir(variable: &str, below_home: &str) -> PathBuf {
    let given = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    given.unwrap_or_else(|| home().join(below_home))
}
