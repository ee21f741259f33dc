//! What is known of a standby: a copy that is made from an archive alone, and compared with the writer. It answers what
//! would be lost now with the writer's volume (the recovery point), how long it takes to restore the rest (the recovery
//! time), and whether what is restored is the log of the writer. Times are since the start of the process, unless they
//! are timestamps.

use std::time::Duration;

use jiff::Timestamp;

use crate::wire::{LogRoot, StandbyDifference};

/// What the standby has of the log, when it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLog {
    /// Id of the log.
    pub log_id: String,
    /// Number of its events.
    pub size: u64,
    /// Root of the tree over them, hexadecimal digits.
    pub root: String,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The writer has the same events.
    Same,
    /// It does not.
    Different {
        /// Stable word for reports.
        reason: &'static str,
        /// For people, with both roots.
        message: String,
    },
}

/// Compares the log of a standby with what the writer says of its own at the same number of events. `other_rows` says
/// that the rows of both projections differ.
#[must_use]
pub fn compare(own: &OwnLog, theirs: &LogRoot, other_rows: bool) -> Finding {
    let OwnLog { log_id, size, root } = own;
    let different = |reason, message| Finding::Different { reason, message };
    if theirs.log_id != *log_id {
        let message = format!("the writer has the log {}, and the archive is of {log_id}", theirs.log_id);
        return different("other_log", message);
    }
    match &theirs.root {
        None => {
            let head = theirs.head_seq;
            let message = format!(
                "the writer ends at event {head}, and {size} events are restored, with the root {root}"
            );
            different("shorter", message)
        }
        Some(theirs) if theirs != root => {
            let message = format!(
                "at event {size} the restored log has the root {root}, and that of the writer {theirs}"
            );
            different("root", message)
        }
        Some(_) if other_rows => {
            let message = format!(
                "both logs have the root {root} at event {size}, and both projections have other rows"
            );
            different("digest", message)
        }
        Some(_) => Finding::Same,
    }
}

/// What the writer had that was not restored, as of its last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missing {
    asked: Duration,
    head_seq: u64,
    /// Age of the oldest such event then.
    age: Duration,
}

/// A rebuild from an empty copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuild {
    /// When it began; none if there is no rebuild.
    pub began: Option<Timestamp>,
    /// How long the last complete one took, and the events that were restored then. Time in which the process did not
    /// run is part of it.
    pub took: Option<(Duration, u64)>,
}

/// What is known of a standby.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standby {
    rebuild: Rebuild,
    /// Since when the archive is known to have something that reads do not see.
    behind_since: Option<Duration>,
    /// The last event that reads have to see until the copy has caught up; none while the archive may have more.
    target: Option<u64>,
    /// How long the last catching up took.
    caught_up: Option<Duration>,
    missing: Option<Missing>,
    is_same: bool,
    verified_at: Option<Timestamp>,
    different: Option<StandbyDifference>,
    damaged: Option<String>,
    fault: Option<String>,
}

impl Standby {
    /// A standby that has just started, with what was kept of earlier rebuilds.
    #[must_use]
    pub fn started(kept: Rebuild) -> Standby {
        Standby { rebuild: kept, ..Standby::default() }
    }

    /// The rebuild, which has to be kept across restarts.
    #[must_use]
    pub fn rebuild(&self) -> Rebuild {
        self.rebuild
    }

    /// Notes a look at the archive that began at `looked`, which is the time `at`: lines were read, or the copy, whose
    /// last event was `seq`, has everything. Returns whether a rebuild has begun with that.
    pub fn looked(&mut self, (looked, at): (Duration, Timestamp), has_lines: bool, seq: u64) -> bool {
        self.damaged = None;
        let begins = has_lines && seq == 0 && self.rebuild.began.is_none();
        if begins {
            self.rebuild.began = Some(at);
        }
        self.target = (!has_lines).then_some(seq);
        // A start has to show its events to readers again, which is a catching up too.
        if has_lines || self.caught_up.is_none() {
            self.behind_since.get_or_insert(looked);
        }
        begins
    }

    /// Whether the copy is not known to have caught up.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind_since.is_some()
    }

    /// Notes that reads see event `applied`. Returns whether a rebuild has ended with that.
    pub fn applied(&mut self, applied: u64, now: Duration, at: Timestamp) -> bool {
        let Some(target) = self.target.filter(|target| *target <= applied) else { return false };
        let Some(since) = self.behind_since.take() else { return false };
        self.caught_up = Some(now.saturating_sub(since));
        let Some(began) = self.rebuild.began else { return false };
        let took = at.duration_since(began);
        self.rebuild = Rebuild {
            began: None,
            took: Some((took.max(jiff::SignedDuration::ZERO).unsigned_abs(), target)),
        };
        true
    }

    /// Notes that the archive has an object that cannot be used, or lost events. Returns whether that is new.
    pub fn damaged(&mut self, why: String) -> bool {
        let is_new = self.damaged.as_ref() != Some(&why);
        self.damaged = Some(why);
        is_new
    }

    /// Notes an answer of the writer to a question that was sent at `asked`. Returns the difference, if it is new.
    pub fn compared(
        &mut self,
        (own, theirs): (&OwnLog, &LogRoot),
        other_rows: bool,
        asked: Duration,
        at: Timestamp,
    ) -> Option<&StandbyDifference> {
        self.fault = None;
        let age = Duration::from_millis(theirs.next_age_ms.unwrap_or_default());
        self.missing = Some(Missing { asked, head_seq: theirs.head_seq, age });
        // Nothing is restored yet: there is nothing to compare.
        if own.size == 0 {
            return None;
        }
        match compare(own, theirs, other_rows) {
            Finding::Same => {
                (self.is_same, self.different) = (true, None);
                if self.is_verified() {
                    self.verified_at = Some(at);
                }
                None
            }
            Finding::Different { reason, message } => {
                self.is_same = false;
                let known = self.different.take().filter(|known| known.reason == reason);
                let is_new = known.is_none();
                let first = known.map_or(at, |known| known.at);
                let difference =
                    StandbyDifference { reason: reason.to_owned(), size: own.size, message, at: first };
                self.different = Some(difference);
                self.different.as_ref().filter(|_| is_new)
            }
        }
    }

    /// Notes that the writer could not be asked: what was found before stays, and grows old.
    pub fn not_compared(&mut self, why: String) {
        self.fault = Some(why);
    }

    /// Whether the writer was compared at all.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        self.is_same || self.different.is_some()
    }

    /// Whether the last comparison found the log of the writer, and the archive can be used.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.is_same && self.damaged.is_none()
    }

    /// Age of the oldest event of the writer that is not restored; none before its first answer. `seq` is the last
    /// event that is restored. Of events that were restored since that answer only the newest is known, so that it may
    /// be less.
    #[must_use]
    pub fn rpo(&self, seq: u64, now: Duration) -> Option<Duration> {
        let Missing { asked, head_seq, age } = self.missing?;
        Some(if head_seq <= seq { Duration::ZERO } else { age + now.saturating_sub(asked) })
    }

    /// How long the last catching up took.
    #[must_use]
    pub fn catch_up(&self) -> Option<Duration> {
        self.caught_up
    }

    /// When the log of the writer was found last.
    #[must_use]
    pub fn verified_at(&self) -> Option<Timestamp> {
        self.verified_at
    }

    /// How the log of the writer differs.
    #[must_use]
    pub fn different(&self) -> Option<&StandbyDifference> {
        self.different.as_ref()
    }

    /// What is wrong with the archive.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damaged.as_deref()
    }

    /// Why the writer could not be asked.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn own(size: u64) -> OwnLog {
        OwnLog { log_id: "log".into(), size, root: format!("root {size}") }
    }

    fn theirs(head_seq: u64, root: Option<&str>, next_age_ms: Option<u64>) -> LogRoot {
        LogRoot { log_id: "log".into(), head_seq, root: root.map(str::to_owned), next_age_ms }
    }

    #[test]
    fn only_the_same_root_of_the_same_log_is_the_same() {
        let reason = |theirs: &LogRoot, other_rows| match compare(&own(5), theirs, other_rows) {
            Finding::Same => "same",
            Finding::Different { reason, message } => {
                assert!(message.contains("root 5") || reason == "other_log", "{message}");
                reason
            }
        };
        let same = theirs(9, Some("root 5"), None);
        assert_eq!(reason(&same, false), "same");
        assert_eq!(reason(&same, true), "digest");
        assert_eq!(reason(&theirs(9, Some("another"), None), false), "root");
        assert_eq!(reason(&theirs(4, None, None), false), "shorter");
        assert_eq!(reason(&LogRoot { log_id: "other".into(), ..same }, false), "other_log");
    }

    #[test]
    fn a_writer_that_is_away_leaves_the_verdict_and_lets_it_grow_old() {
        let mut standby = Standby::default();
        assert!(!standby.is_verified() && !standby.is_compared());
        standby.compared((&own(5), &theirs(5, Some("root 5"), None)), false, seconds(1), at(100));
        standby.not_compared("away".into());
        assert_eq!(
            (standby.is_verified(), standby.verified_at(), standby.fault()),
            (true, Some(at(100)), Some("away"))
        );
        let different =
            standby.compared((&own(6), &theirs(6, Some("other"), None)), false, seconds(2), at(110));
        assert_eq!(
            different.map(|different| (different.reason.as_str(), different.at)),
            Some(("root", at(110)))
        );
        let again = standby.compared((&own(7), &theirs(7, Some("other"), None)), false, seconds(3), at(120));
        assert_eq!(again, None, "it is said once");
        assert_eq!(standby.different().map(|different| (different.size, different.at)), Some((7, at(110))));
        assert_eq!((standby.is_verified(), standby.verified_at()), (false, Some(at(100))));
        standby.compared((&own(7), &theirs(7, Some("root 7"), None)), false, seconds(4), at(130));
        assert_eq!((standby.is_verified(), standby.different()), (true, None));
    }

    #[test]
    fn a_damaged_archive_is_not_verified_even_if_what_is_restored_is_the_log() {
        let mut standby = Standby::default();
        assert!(standby.damaged("tails/1: changed".into()));
        assert!(!standby.damaged("tails/1: changed".into()), "it is said once");
        standby.compared((&own(5), &theirs(9, Some("root 5"), Some(0))), false, seconds(1), at(100));
        assert_eq!((standby.is_verified(), standby.verified_at()), (false, None));
        assert!(!standby.looked((seconds(2), at(2)), true, 5));
        assert!(standby.is_verified(), "it can be used again");
    }

    #[test]
    fn the_recovery_point_is_the_age_of_the_oldest_event_that_is_missing() {
        let mut standby = Standby::default();
        assert_eq!(standby.rpo(5, seconds(9)), None, "the writer was not asked");
        standby.compared((&own(5), &theirs(8, Some("root 5"), Some(3_000))), false, seconds(10), at(0));
        assert_eq!(standby.rpo(5, seconds(10)), Some(seconds(3)));
        standby.not_compared("away".into());
        assert_eq!(standby.rpo(6, seconds(14)), Some(seconds(7)), "it grows while something is missing");
        assert_eq!(standby.rpo(8, seconds(14)), Some(seconds(0)));
        // Before anything is restored, all of it is missing.
        standby.compared((&own(0), &theirs(8, Some("x"), Some(60_000))), false, seconds(20), at(0));
        assert_eq!((standby.rpo(0, seconds(20)), standby.different()), (Some(seconds(60)), None));
    }

    #[test]
    fn a_rebuild_ends_when_reads_see_what_the_archive_has() {
        let mut standby = Standby::default();
        let look = |second: u64| (seconds(second), at(100 + i64::try_from(second).unwrap()));
        assert!(
            !standby.looked(look(0), false, 0) && !standby.applied(0, seconds(0), at(100)),
            "nothing is there"
        );
        assert!(standby.looked(look(10), true, 0), "it begins with the first event");
        assert!(
            !standby.looked(look(11), true, 40) && !standby.applied(80, seconds(12), at(112)),
            "there may be more"
        );
        standby.looked(look(13), false, 80);
        assert!(standby.is_behind() && !standby.applied(79, seconds(14), at(114)));
        assert!(standby.applied(80, seconds(15), at(115)));
        assert_eq!(standby.rebuild(), Rebuild { began: None, took: Some((seconds(5), 80)) });
        assert_eq!((standby.catch_up(), standby.is_behind()), (Some(seconds(5)), false));
        // What comes later is a catching up, and no rebuild.
        assert!(!standby.looked(look(20), true, 80));
        standby.looked(look(21), false, 90);
        assert!(!standby.applied(90, seconds(22), at(122)));
        assert_eq!((standby.catch_up(), standby.rebuild().took), (Some(seconds(2)), Some((seconds(5), 80))));
        standby.looked(look(30), false, 90);
        assert!(!standby.is_behind(), "there was nothing new");
    }

    #[test]
    fn a_rebuild_that_a_restart_interrupts_counts_from_its_begin() {
        let mut before = Standby::default();
        before.looked((seconds(0), at(100)), true, 0);
        let mut standby = Standby::started(before.rebuild());
        assert!(!standby.looked((seconds(0), at(130)), false, 8));
        assert!(standby.applied(8, seconds(1), at(140)));
        assert_eq!(standby.rebuild().took, Some((seconds(40), 8)));
    }
}
