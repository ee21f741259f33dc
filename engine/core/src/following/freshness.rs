//! How far a copy is behind the log that it is made from.

use std::collections::VecDeque;
use std::time::Duration;

/// Answers that wait for the projection. More than this wait only while the projection is far behind, and then the
/// oldest ones are what counts.
const WAITING_MAX: usize = 64;

/// Evidence of how new the state is that reads see. Times are since the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Number of the last event of the log that is followed, as of its last answer.
    head_seq: Option<u64>,
    /// When a request was sent, and the head that its answer named. The projection has not applied that head yet.
    waiting: VecDeque<(Duration, u64)>,
    /// The last moment at which everything that was durable then is known to be applied.
    current_at: Option<Duration>,
}

impl Freshness {
    /// Notes an answer to a request that was sent at `sent`. What it says was true then or later.
    pub fn answered(&mut self, sent: Duration, head_seq: u64) {
        self.head_seq = Some(head_seq);
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((sent, head_seq));
        }
    }

    /// Notes that the projection has applied the events up to `applied`.
    pub fn applied(&mut self, applied: u64) {
        while let Some((sent, _)) = self.waiting.front().copied().filter(|(_, head)| *head <= applied) {
            self.current_at = Some(sent);
            self.waiting.pop_front();
        }
    }

    /// Number of the last event of the log that is followed; `None` before its first answer.
    #[must_use]
    pub fn head_seq(&self) -> Option<u64> {
        self.head_seq
    }

    /// Events that are not applied yet, as far as is known.
    #[must_use]
    pub fn lag_events(&self, applied: u64) -> u64 {
        self.head_seq.unwrap_or_default().saturating_sub(applied)
    }

    /// Age of the state that reads see; `None` before everything was applied once. It grows while there is no answer,
    /// because nobody knows what was written since.
    #[must_use]
    pub fn lag(&self, now: Duration) -> Option<Duration> {
        self.current_at.map(|at| now.saturating_sub(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_lag_counts_from_the_last_moment_whose_events_are_applied() {
        let mut freshness = Freshness::default();
        assert_eq!((freshness.lag(at(9)), freshness.head_seq()), (None, None), "never caught up");
        freshness.answered(at(1), 10);
        freshness.applied(9);
        assert_eq!((freshness.lag(at(2)), freshness.lag_events(9)), (None, 1));
        freshness.answered(at(2), 20);
        freshness.applied(10);
        assert_eq!((freshness.lag(at(3)), freshness.lag_events(10)), (Some(at(2)), 10));
        freshness.applied(25);
        assert_eq!((freshness.lag(at(3)), freshness.lag_events(25)), (Some(at(1)), 0));
        assert_eq!(freshness.lag(at(63)), Some(at(61)), "without an answer nobody knows what was written");
    }

    #[test]
    fn a_projection_that_stays_behind_under_load_is_judged_by_the_oldest_answers() {
        let mut freshness = Freshness::default();
        (0..1000).for_each(|second| freshness.answered(at(second), second));
        freshness.applied(3);
        assert_eq!(freshness.lag(at(1000)), Some(at(997)));
        freshness.applied(999);
        assert_eq!(freshness.lag(at(1000)), Some(at(1000 - (WAITING_MAX as u64 - 1))), "conservative");
    }
}
