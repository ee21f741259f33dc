//! Progress of a campaign: a bar on a terminal, an occasional line elsewhere.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::steps::spoken;

/// Without a terminal: often enough to show progress, rarely enough for a log.
const LINE_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    bar: ProgressBar,
    said: Cell<Instant>,
}

impl Progress {
    pub(super) fn new(name: &str, steps: u64) -> Progress {
        let style =
            ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} {elapsed} (about {eta} left)");
        let bar = ProgressBar::new(steps).with_prefix(name.to_owned());
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { name: name.to_owned(), bar, said: Cell::new(Instant::now()) }
    }

    /// Counts one more step as done.
    pub(super) fn step(&self) {
        self.bar.inc(1);
        if self.bar.is_hidden() && self.said.get().elapsed() > LINE_EVERY {
            self.said.set(Instant::now());
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
            println!("{}: {done} of {all} after {}", self.name, spoken(self.bar.elapsed()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
