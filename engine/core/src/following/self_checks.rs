//! What an engine that follows another one finds out about itself, by comparing itself with that engine. Each check is
//! counted as a pair, so that an operator can judge this revision by it.

use crate::rollout::counts::{Counts, Tally};
use crate::rollout::metric::Metric;
use crate::wire::RecentDigests;

/// What is checked.
const CHECKED: [Metric; 3] = [Metric::Digest, Metric::Chain, Metric::Downgrade];

/// Checks in a row, ten seconds apart, at which reads have to be off here alone. Both guards see an outage of the same
/// service at different moments, and try it again at different ones.
const GUARDED_MIN: u32 = 6;

/// What was found so far.
#[derive(Clone, Debug)]
pub struct SelfChecks {
    tally: Tally,
    /// Why the last check was not complete.
    fault: Option<String>,
    /// Whether the digests differed at the last check that could compare them.
    differed: bool,
    /// Whether they differed at the last two.
    stays_different: bool,
    /// Checks in a row at which only this engine had turned reads off.
    guarded: u32,
}

impl Default for SelfChecks {
    fn default() -> SelfChecks {
        // Every check is reported from the start: one that is absent could not be told from counters that are lost.
        let counts = CHECKED.map(|metric| (metric, Counts::default())).into_iter().collect();
        SelfChecks {
            tally: Tally { counts, ..Tally::default() },
            fault: None,
            differed: false,
            stays_different: false,
            guarded: 0,
        }
    }
}

impl SelfChecks {
    /// What was counted.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Why the last check was not complete.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether the rows of both projections differ: at two checks in a row.
    #[must_use]
    pub fn is_different(&self) -> bool {
        self.stays_different
    }

    /// Counts a check. `theirs` is what the engine that is followed says of itself.
    pub fn count(&mut self, is_broken: bool, ours: &RecentDigests, theirs: Result<RecentDigests, String>) {
        self.tally.add(Metric::Chain, is_broken, false);
        let theirs = match theirs {
            Ok(theirs) => theirs,
            Err(fault) => {
                self.fault = Some(fault);
                return;
            }
        };
        self.fault = None;
        self.guarded = if ours.is_guarded && !theirs.is_guarded { self.guarded + 1 } else { 0 };
        self.tally.add(Metric::Downgrade, self.guarded >= GUARDED_MIN, false);
        if ours.projection_version != theirs.projection_version {
            self.fault =
                Some("the writer has another version of the projection: digests are not compared".to_owned());
        }
        if let Some(differs) = differ(ours, &theirs) {
            // A difference stays, because each event changes the digest by what it adds. What is gone at the next check
            // was none, and one event of this metric rolls a revision back.
            self.stays_different = differs && self.differed;
            self.tally.add(Metric::Digest, self.stays_different, false);
            self.differed = differs;
        }
    }
}

/// Whether two engines have different digests at the newest event that both have one of; none without such an event.
fn differ(ours: &RecentDigests, theirs: &RecentDigests) -> Option<bool> {
    if ours.projection_version != theirs.projection_version {
        return None;
    }
    // What is forgotten later is missing from the lines at once: before that, the digest of who reads them late is
    // another one.
    let altered = ours.altered_seq.max(theirs.altered_seq);
    let comparable = ours.digests.iter().rev().filter(|our| our.seq >= altered);
    comparable.into_iter().find_map(|our| {
        let their = theirs.digests.iter().find(|their| their.seq == our.seq)?;
        Some(their.digest != our.digest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::RecentDigest;

    fn with(altered_seq: u64, digests: &[(u64, &str)]) -> RecentDigests {
        let digests =
            digests.iter().map(|(seq, digest)| RecentDigest { seq: *seq, digest: (*digest).to_owned() });
        RecentDigests { projection_version: 1, altered_seq, is_guarded: false, digests: digests.collect() }
    }

    #[test]
    fn digests_are_compared_at_the_newest_common_event() {
        let ours = with(0, &[(1, "a"), (3, "c"), (4, "d")]);
        assert_eq!(differ(&ours, &with(0, &[(1, "x"), (3, "c"), (5, "e")])), Some(false));
        assert_eq!(differ(&ours, &with(0, &[(3, "x"), (5, "e")])), Some(true));
        assert_eq!(differ(&ours, &with(0, &[(2, "b")])), None);
        assert_eq!(differ(&ours, &with(4, &[(3, "x")])), None, "something was forgotten since");
        assert_eq!(differ(&ours, &RecentDigests { projection_version: 2, ..with(0, &[(4, "x")]) }), None);
    }

    #[test]
    fn a_difference_that_does_not_last_is_none() {
        let mut checks = SelfChecks::default();
        let (ours, same, other) = (with(0, &[(4, "d")]), with(0, &[(4, "d")]), with(0, &[(4, "x")]));
        for theirs in [&other, &same, &other, &same] {
            checks.count(false, &ours, Ok(theirs.clone()));
        }
        assert_eq!(checks.tally.of(Metric::Digest), Counts { canary_only: 0, stable_only: 0, pairs: 4 });
        assert!(!checks.is_different());
        checks.count(false, &ours, Ok(other.clone()));
        checks.count(false, &ours, Ok(other));
        assert!(checks.is_different());
        assert_eq!(checks.tally.of(Metric::Digest).canary_only, 1);
    }

    #[test]
    fn reads_that_both_have_turned_off_are_nobodys_fault() {
        let mut checks = SelfChecks::default();
        let guarded = RecentDigests { is_guarded: true, ..with(0, &[]) };
        checks.count(false, &guarded, Ok(guarded.clone()));
        assert_eq!(checks.tally.of(Metric::Downgrade), Counts { canary_only: 0, stable_only: 0, pairs: 1 });
        // Both guards see an outage at different moments.
        for alone in 1..GUARDED_MIN {
            checks.count(false, &guarded, Ok(with(0, &[])));
            assert_eq!(checks.tally.of(Metric::Downgrade).canary_only, 0, "after {alone} checks");
        }
        checks.count(true, &guarded, Ok(with(0, &[])));
        assert_eq!(checks.tally.of(Metric::Downgrade).canary_only, 1);
        assert_eq!(checks.tally.of(Metric::Chain).canary_only, 1);
        let pairs = checks.tally.of(Metric::Downgrade).pairs;
        checks.count(false, &guarded, Err("away".to_owned()));
        assert_eq!(
            (checks.tally.of(Metric::Downgrade).pairs, checks.fault.as_deref()),
            (pairs, Some("away"))
        );
    }
}
