//! Settings that all measurements share.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;

/// Settings of a run, and its progress bar.
#[derive(Debug)]
pub(super) struct Bench {
    /// Directory of this run, on the volume to measure.
    pub(super) directory: PathBuf,
    /// Duration of one measurement of a rate.
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

    /// Creates an empty subdirectory. Removes an existing one first.
    pub(super) fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let directory = self.directory.join(name);
        if directory.try_exists()? {
            std::fs::remove_dir_all(&directory)?;
        }
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }
}
