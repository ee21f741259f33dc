//! How long something took in each of the last time slices: bounded, however often it happens.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Age of the oldest duration that counts.
pub const WINDOW: Duration = Duration::from_secs(300);
/// Length of a slice, seconds. A status page that refreshes as often shows a new slice each time.
const SLICE_S: u64 = 10;
/// Number of slices that are kept: those of the window.
const SLICES: u64 = WINDOW.as_secs() / SLICE_S;

/// Sums of durations, by the slice in which they ended. Slices without a duration take no memory.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// When the first slice began.
    begun: Option<Instant>,
    /// Oldest first; at most [`SLICES`].
    slices: VecDeque<Slice>,
}

#[derive(Debug)]
struct Slice {
    number: u64,
    count: u32,
    total: Duration,
}

impl History {
    /// Adds a duration that ended at `now`.
    pub(crate) fn observe(&mut self, now: Instant, elapsed: Duration) {
        let begun = *self.begun.get_or_insert(now);
        let number = number(begun, now);
        match self.slices.back_mut() {
            // Two threads can add in another order than they looked at the clock.
            Some(last) if last.number >= number => {
                last.count = last.count.saturating_add(1);
                last.total = last.total.saturating_add(elapsed);
            }
            _ => self.slices.push_back(Slice { number, count: 1, total: elapsed }),
        }
        while self.slices.front().is_some_and(|first| first.number + SLICES <= number) {
            self.slices.pop_front();
        }
    }

    /// The mean duration of each slice of the window that ends now, oldest first; `None` for a slice without a
    /// duration.
    pub(crate) fn means(&self, now: Instant) -> Vec<Option<Duration>> {
        let Some(begun) = self.begun else { return Vec::new() };
        let newest = number(begun, now) + 1;
        let mean = |number: u64| {
            let slice = self.slices.iter().find(|slice| slice.number + SLICES == number)?;
            slice.total.checked_div(slice.count)
        };
        // Counted from SLICES, so that no number is below 0 in the first minutes.
        (newest..newest + SLICES).map(mean).collect()
    }
}

fn number(begun: Instant, now: Instant) -> u64 {
    now.saturating_duration_since(begun).as_secs() / SLICE_S
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(history: &History, now: Instant) -> Vec<Option<u128>> {
        history.means(now).iter().map(|mean| mean.map(|mean| mean.as_millis())).collect()
    }

    #[test]
    fn a_history_has_the_mean_of_each_slice_and_no_more_slices_than_the_window() {
        let (mut history, start) = (History::default(), Instant::now());
        assert_eq!(history.means(start), []);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for (seconds, took) in [(0, 10), (9, 30), (25, 7)] {
            history.observe(at(seconds), Duration::from_millis(took));
        }
        let shown = millis(&history, at(25));
        assert_eq!(shown.len(), 30);
        assert_eq!(shown[27..], [Some(20), None, Some(7)]);
        assert!(shown[..27].iter().all(Option::is_none));
        // A thread that looked at the clock earlier.
        history.observe(at(19), Duration::from_millis(9));
        assert_eq!(millis(&history, at(25))[29], Some(8));
        assert_eq!(millis(&history, at(299))[..3], [Some(20), None, Some(8)]);
        assert_eq!(millis(&history, at(300))[..2], [None, Some(8)], "the first slice is too old");
        for seconds in 300..2_000 {
            history.observe(at(seconds), Duration::from_millis(seconds));
        }
        assert_eq!(history.slices.len(), 30);
        let shown = millis(&history, at(1_999));
        assert_eq!((shown.len(), shown[0], shown[29]), (30, Some(1_704), Some(1_994)));
        assert_eq!(millis(&history, at(9_000)), [None; 30]);
    }
}
