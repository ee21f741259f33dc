//! The budget of anchors for the whole operator. It limits the load on the API server when thousands of engines have
//! growing logs.

use jiff::{SignedDuration, Timestamp};

/// Number of writes per anchor: the status, the claim, the ConfigMap.
const WRITES_PER_ANCHOR: i64 = 3;
/// While no anchor is due, the unused budget accumulates up to this duration.
const BURST: SignedDuration = SignedDuration::from_secs(2);

/// A token bucket that does not refuse a request but assigns a time to it. Engines that must wait get their times in
/// the order of their requests, so that each gets its turn.
#[derive(Clone, Debug)]
pub struct AnchorBudget {
    every: SignedDuration,
    next: Timestamp,
}

impl AnchorBudget {
    /// Creates a budget of `writes_per_second` (at least 1) that is full at `now`.
    #[must_use]
    pub fn new(writes_per_second: u32, now: Timestamp) -> Self {
        let nanos = 1_000_000_000 * WRITES_PER_ANCHOR / i64::from(writes_per_second.max(1));
        Self { every: SignedDuration::from_nanos(nanos), next: earlier(now, BURST) }
    }

    /// Takes one anchor from the budget. Returns the time at which the anchor may be recorded: `now`, or later if the
    /// budget is used up.
    pub fn take(&mut self, now: Timestamp) -> Timestamp {
        let slot = self.next.max(earlier(now, BURST));
        self.next = slot.checked_add(self.every).unwrap_or(slot);
        slot.max(now)
    }
}

fn earlier(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_sub(by).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).expect("a time")
    }

    /// A hundred engines that are due at the same time are spread according to the budget, in the order of their
    /// requests.
    #[test]
    fn a_burst_is_spread_and_nobody_is_passed_over() {
        let mut budget = AnchorBudget::new(30, at(0));
        let slots: Vec<Timestamp> = (0..100).map(|_| budget.take(at(0))).collect();
        assert!(slots.is_sorted());
        assert_eq!(slots.iter().filter(|slot| **slot == at(0)).count(), 21, "two seconds are saved up");
        assert_eq!(slots[99], at(7900));
        // Ten anchors per second cause thirty writes per second.
        let in_one_second = slots.iter().filter(|slot| **slot > at(1000) && **slot <= at(2000)).count();
        assert_eq!(in_one_second, 10);
    }

    #[test]
    fn what_is_not_used_is_saved_up_for_two_seconds_only() {
        let mut budget = AnchorBudget::new(3, at(0));
        for _ in 0..3 {
            assert_eq!(budget.take(at(0)), at(0));
        }
        assert_eq!(budget.take(at(0)), at(1000));
        let hour = 3_600_000;
        for _ in 0..3 {
            assert_eq!(budget.take(at(hour)), at(hour));
        }
        assert_eq!(budget.take(at(hour)), at(hour + 1000));
    }
}
