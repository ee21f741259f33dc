//! The share of the sessions that the canary answers, as the process that answers reads sees it.

/// How long a weight holds without renewal, seconds. An operator that is gone cannot take a weight back, so that the
/// process does it by itself.
pub const LEASE_S: i64 = 60;

/// A weight that the operator has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Share of the sessions, percent.
    weight: u8,
    granted_at_s: i64,
}

impl Grant {
    /// Grants a weight from `now_s` on, by the clock of the process that answers reads.
    #[must_use]
    pub fn new(weight: u8, now_s: i64) -> Self {
        Self { weight: weight.min(100), granted_at_s: now_s }
    }

    /// The weight that is in effect. A clock that went back ends the grant: it is not known how old it is.
    #[must_use]
    pub fn weight(&self, now_s: i64) -> u8 {
        let age = now_s.saturating_sub(self.granted_at_s);
        if (0..LEASE_S).contains(&age) { self.weight } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_falls_to_zero_when_its_lease_ends() {
        let grant = Grant::new(10, 1_000);
        assert_eq!(grant.weight(1_000), 10);
        assert_eq!(grant.weight(1_000 + LEASE_S - 1), 10);
        assert_eq!(grant.weight(1_000 + LEASE_S), 0);
        assert_eq!(grant.weight(999), 0, "the clock went back");
        assert_eq!(Grant::new(101, 0).weight(0), 100);
    }
}
