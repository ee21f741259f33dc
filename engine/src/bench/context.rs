//! What every measurement needs to know.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;

/// What every measurement needs to know.
#[derive(Debug)]
pub(super) struct Bench {
    /// An own, empty directory on the volume to measure.
    pub(super) directory: PathBuf,
    /// Of one measurement of a rate.
    pub(super) duration: Duration,
    pub(super) rounds: u32,
    pub(super) events: u64,
    pub(super) progress: ProgressBar,
}

impl Bench {
    pub(super) fn step(&self, what: &str) {
        self.progress.set_message(what.to_owned());
        self.progress.inc(1);
    }

    /// An own subdirectory, empty.
    pub(super) fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let directory = self.directory.join(name);
        if directory.try_exists()? {
            std::fs::remove_dir_all(&directory)?;
        }
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }
}
