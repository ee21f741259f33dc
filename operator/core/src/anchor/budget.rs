//! The budget of anchors for the complete operator, so that thousands of busy engines do not become the API server's
//! main load.

use jiff::{SignedDuration, Timestamp};

/// Number of writes per anchor: the status, the claim, the ConfigMap.
const WRITES_PER_ANCHOR: i64 = 3;
/// Maximum budget that accumulates while nothing is due.
const BURST: SignedDuration = SignedDuration::from_secs(2);

/// A token bucket that assigns times instead of refusing: an engine that must wait gets a place in the queue, so that
/// none waits for ever.
#[derive(Clone, Debug)]
pub struct AnchorBudget {
    every: SignedDuration,
    next: Timestamp,
}

impl AnchorBudget {
    /// A budget of `writes_per_second`, at least 1, which is full at `now`.
    #[must_use]
    pub fn new(writes_per_second: u32, now: Timestamp) -> Self {
        let nanos = 1_000_000_000 * WRITES_PER_ANCHOR / i64::from(writes_per_second.max(1));
        Self { every: SignedDuration::from_nanos(nanos), next: earlier(now, BURST) }
    }

    /// Takes one anchor from the budget and returns when it may be recorded: `now`, unless the budget is used up.
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
        // Ten anchors per second are thirty writes per second.
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
