//! What `memory-engine backup` shows to people: a table of backups, and a progress bar.

use engine_archive::{LogSummary, Progress};
use indicatif::{ProgressBar, ProgressStyle};

/// The logs and their backups.
pub(crate) fn table(summaries: &[LogSummary]) -> String {
    let mut lines = String::new();
    for LogSummary { log_id, events, bytes, backups } in summaries {
        lines += &format!("log {log_id}: {events} events, {bytes} bytes\n");
        for backup in backups {
            let created = backup.created.map_or_else(|| "unreadable".to_owned(), |time| time.to_string());
            let left = if backup.left { ", of a branch that the log has left" } else { "" };
            lines += &format!("  {created} {:>12} events  {}{left}\n", backup.size, backup.name);
        }
    }
    lines
}

/// A progress bar, which is drawn on standard error and only if that is a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new() -> Bar {
        let style =
            ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
        Bar(ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }
}

impl Progress for Bar {
    fn begins(&self, bytes: u64) {
        self.0.set_position(0);
        self.0.set_length(bytes);
    }

    fn advances(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}
