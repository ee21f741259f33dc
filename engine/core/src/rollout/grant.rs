//! The share of the sessions that the canary answers, as the process that answers reads sees it.

use crate::digest::Hash;

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

    /// Whether it has not ended. A clock that went back ends it: it is not known how old it is.
    #[must_use]
    pub fn holds(&self, now_s: i64) -> bool {
        (0..LEASE_S).contains(&now_s.saturating_sub(self.granted_at_s))
    }

    /// The weight that is in effect.
    #[must_use]
    pub fn weight(&self, now_s: i64) -> u8 {
        if self.holds(now_s) { self.weight } else { 0 }
    }
}

/// Whether the canary answers a session at this weight. A session that it answers at one weight it answers at every
/// higher one too.
#[must_use]
pub fn is_chosen(session: &str, weight: u8) -> bool {
    let digest = Hash::of(session.as_bytes());
    let number = digest.0.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    number % 100 < u64::from(weight)
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

    #[test]
    fn sessions_are_chosen_by_weight_and_stay_chosen() {
        let sessions: Vec<String> = (0..10_000).map(|number| format!("session-{number}")).collect();
        let chosen = |weight| sessions.iter().filter(|session| is_chosen(session, weight)).count();
        assert_eq!((chosen(0), chosen(100)), (0, sessions.len()));
        for weight in [1, 10, 50] {
            let share = chosen(weight);
            assert!(share.abs_diff(usize::from(weight) * 100) < 200, "{weight}: {share}");
        }
        assert!(sessions.iter().all(|session| !is_chosen(session, 10) || is_chosen(session, 50)));
    }
}
