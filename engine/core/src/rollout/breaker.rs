//! Takes the weight of a canary away at once when its answers fail, and gives it back when they do not.

use std::collections::VecDeque;

/// Reads that are looked at.
const WINDOW: usize = 10;
/// Bad ones of them that open the breaker.
const BAD_MAX: usize = 5;
/// Good pairs in a row that close it again.
const GOOD_MIN: u8 = 5;

/// Whether a canary answers clients. It gives no verdict: it acts within seconds, and takes its decision back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Whether the newest reads of the canary were bad.
    recent: VecDeque<bool>,
    is_open: bool,
    /// Good pairs in a row since it has opened.
    good: u8,
}

impl Breaker {
    /// Whether the canary answers nobody.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Notes a read that the canary was asked for a client. Those that were under way when it opened say nothing new.
    pub fn read(&mut self, bad: bool) {
        if self.is_open {
            return;
        }
        self.recent.push_back(bad);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
        if self.recent.iter().filter(|bad| **bad).count() >= BAD_MAX {
            *self = Self { is_open: true, ..Self::default() };
        }
    }

    /// Notes a pair that no client waited for, of a canary that is ready or not.
    pub fn pair(&mut self, bad: bool, is_ready: bool) {
        if !self.is_open {
            return;
        }
        self.good = if bad || !is_ready { 0 } else { self.good + 1 };
        if self.good >= GOOD_MIN {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_bad_reads_of_ten_open_it() {
        let mut breaker = Breaker::default();
        for number in 0..9 {
            assert!(!breaker.is_open(), "{number}");
            breaker.read(number % 2 == 0);
        }
        assert!(breaker.is_open());
    }

    #[test]
    fn four_bad_reads_of_any_ten_do_not() {
        let mut breaker = Breaker::default();
        (0..1_000).for_each(|number| breaker.read(number % 10 < 4));
        assert!(!breaker.is_open());
    }

    #[test]
    fn five_good_pairs_in_a_row_close_it() {
        let mut breaker = Breaker::default();
        (0..5).for_each(|_| breaker.read(true));
        (0..4).for_each(|_| breaker.pair(false, true));
        breaker.pair(true, true);
        (0..4).for_each(|_| breaker.pair(false, true));
        breaker.pair(false, false);
        (0..4).for_each(|_| breaker.pair(false, true));
        breaker.read(false);
        assert!(breaker.is_open(), "a bad pair and a canary that is not ready begin the count anew");
        breaker.pair(false, true);
        assert_eq!(breaker, Breaker::default(), "it forgets what was before");
    }
}
