//! The newest digests of the projection with their events, so that two engines with one log can compare them.
//! [`task`] notes them.

mod task;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine_core::wire::RecentDigest;

pub(crate) use task::{note_all, recent};

/// Digests that are remembered.
const REMEMBERED_MAX: usize = 256;
/// How long they are noted after somebody has asked for them. Those who compare ask every ten seconds.
const WANTED: Duration = Duration::from_secs(60);

/// The newest digests of one engine.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    recent: VecDeque<RecentDigest>,
    /// When they were asked for last.
    wanted: Option<Instant>,
}

impl Digests {
    fn noted<T>(&self, use_it: impl FnOnce(&mut Noted) -> T) -> T {
        // No code panics half-way through a change while it holds the lock.
        use_it(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_wanted(&self) -> bool {
        self.noted(|noted| noted.wanted.is_some_and(|wanted| wanted.elapsed() < WANTED))
    }

    fn add(&self, digest: RecentDigest) {
        self.noted(|noted| {
            // A projection that was replaced may be at an earlier event: what was noted is of another one then.
            if noted.recent.back().is_some_and(|last| last.seq >= digest.seq && *last != digest) {
                noted.recent.clear();
            }
            if noted.recent.back() != Some(&digest) {
                noted.recent.push_back(digest);
            }
            if noted.recent.len() > REMEMBERED_MAX {
                noted.recent.pop_front();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(seq: u64, digest: &str) -> RecentDigest {
        RecentDigest { seq, digest: digest.to_owned() }
    }

    #[test]
    fn digests_are_bounded_and_those_of_a_replaced_projection_are_dropped() {
        let digests = Digests::default();
        (1..=300).for_each(|seq| digests.add(digest(seq, "a")));
        digests.add(digest(300, "a"));
        assert_eq!(digests.noted(|noted| noted.recent.len()), REMEMBERED_MAX);
        digests.add(digest(300, "b"));
        assert_eq!(digests.noted(|noted| noted.recent.clone()), [digest(300, "b")]);
        assert!(!digests.is_wanted());
    }
}
