//! State of the archive, for reports.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;

/// Whether the log is archived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveState {
    /// The archive was not read yet.
    #[default]
    Opening,
    /// The log is archived.
    Archiving,
    /// The last step failed and is repeated.
    Failing,
    /// The archive has events that this log does not have: the volume is an older copy. Nothing is stored until an
    /// administrator decides.
    Ahead,
    /// The task ended unexpectedly.
    Ended,
}

/// State of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveStatus {
    /// Whether the log is archived.
    pub state: ArchiveState,
    /// Last event that is in the archive.
    pub archived_seq: u64,
    /// Durable events that are not in the archive.
    pub lag_events: u64,
    /// Age of the state that a restore would give, seconds.
    pub lag_seconds: u64,
    /// Whether the store honours conditional creates; absent until that was tried.
    pub conditional_put: Option<bool>,
    /// Last event up to which everything forgotten is removed from the archive.
    pub forgotten_seq: u64,
    /// Pieces of branches that the log has left.
    pub left_pieces: u64,
    /// When the last backup was taken by this process.
    pub backup_at: Option<Timestamp>,
    /// Number of events of that backup.
    pub backup_size: Option<u64>,
    /// Why the last step failed; absent if it did not.
    pub error: Option<String>,
}

/// The state, as the task publishes it.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<(ArchiveStatus, Instant)>);

impl Shared {
    pub(crate) fn new() -> Shared {
        Shared(Mutex::new((ArchiveStatus::default(), Instant::now())))
    }

    /// Changes the state. `covered_at` is when everything that is archived now was all that was durable.
    pub(crate) fn change(&self, covered_at: Option<Instant>, change: impl FnOnce(&mut ArchiveStatus)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.0);
        state.1 = covered_at.unwrap_or(state.1);
    }

    /// The state of a log whose last durable event is `head_seq`.
    pub(crate) fn status(&self, head_seq: u64) -> ArchiveStatus {
        let (mut status, covered_at) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status.lag_events = head_seq.saturating_sub(status.archived_seq);
        let is_behind = status.lag_events > 0 || status.state == ArchiveState::Opening;
        status.lag_seconds = if is_behind { covered_at.elapsed().as_secs() } else { 0 };
        status
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_lag_grows_only_while_something_is_not_archived() {
        let shared = Shared::new();
        let past = Instant::now().checked_sub(Duration::from_secs(30)).unwrap();
        shared.change(Some(past), |status| {
            (status.state, status.archived_seq) = (ArchiveState::Archiving, 7);
        });
        assert_eq!((shared.status(7).lag_events, shared.status(7).lag_seconds), (0, 0));
        let behind = shared.status(9);
        assert_eq!((behind.lag_events, behind.lag_seconds >= 30), (2, true));
        shared.change(Some(Instant::now()), |status| status.archived_seq = 8);
        assert!(shared.status(9).lag_seconds < 30);
    }
}
