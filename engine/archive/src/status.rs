//! State of the archive, for reports.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use engine_core::wire::{ArchiveHealth, ArchiveState, BackupTaken};
use serde::Serialize;

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
    /// Whether the store of the keys keeps older versions of them, so that what is forgotten can be read with one of
    /// these; absent until that is known, and for stores that do not tell it.
    pub keys_versioned: Option<bool>,
    /// Last event up to which everything forgotten is removed from the archive.
    pub forgotten_seq: u64,
    /// Pieces of branches that the log has left.
    pub left_pieces: u64,
    /// The last backup of this process.
    pub last_backup: Option<BackupTaken>,
    /// Why the last step failed; absent if it did not.
    pub error: Option<String>,
}

impl ArchiveStatus {
    /// What the health report says of it.
    #[must_use]
    pub fn health(self) -> ArchiveHealth {
        let ArchiveStatus { state, archived_seq, lag_seconds, conditional_put, keys_versioned, .. } = self;
        let ArchiveStatus { error, last_backup, .. } = self;
        ArchiveHealth {
            state,
            archived_seq,
            lag_seconds,
            conditional_put,
            keys_versioned,
            error,
            last_backup,
        }
    }
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

    /// The last backup, if it was taken for the request with this id.
    pub(crate) fn taken_for(&self, request: &str) -> Option<BackupTaken> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.last_backup.clone().filter(|taken| taken.request.as_deref() == Some(request))
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
