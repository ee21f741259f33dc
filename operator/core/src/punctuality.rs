//! Whether a schedule is kept. Only the schedule that is in force counts, and only since it is: nobody could keep
//! another one, nor this one while the engine was stopped.

use crds::ScheduleInForce;
use jiff::{SignedDuration, Timestamp};

use crate::schedule::Schedule;

/// The schedule that is in force from now on, or since the status said so.
#[must_use]
pub fn in_force(
    before: Option<&ScheduleInForce>,
    schedule: Option<&Schedule>,
    now: Timestamp,
) -> Option<ScheduleInForce> {
    let schedule = schedule?.to_string();
    let same = before.filter(|before| before.schedule == schedule).cloned();
    Some(same.unwrap_or_else(|| ScheduleInForce { schedule, since: now.to_string() }))
}

/// The moment at which a run was due that has not ended yet, although `tolerance` is over. `last` is the end of the
/// last run.
#[must_use]
pub fn missed(
    before: Option<&ScheduleInForce>,
    schedule: &Schedule,
    last: Option<Timestamp>,
    tolerance: SignedDuration,
    now: Timestamp,
) -> Option<Timestamp> {
    let since = before.filter(|before| before.schedule == schedule.to_string())?.since.parse().ok()?;
    let due = schedule.next(last.map_or(since, |last| last.max(since)))?;
    (now.duration_since(due) > tolerance).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

    fn at(text: &str) -> Timestamp {
        format!("2026-01-{text}:00Z").parse().unwrap()
    }

    fn daily() -> Schedule {
        Schedule::parse("0 2 * * *", "Etc/UTC").unwrap()
    }

    #[test]
    fn a_run_is_missed_when_its_time_and_the_tolerance_are_over() {
        let since = in_force(None, Some(&daily()), at("01T00:00"));
        let missed =
            |last: Option<&str>, now| missed(since.as_ref(), &daily(), last.map(at), TOLERANCE, at(now));
        assert_eq!(missed(None, "01T02:10"), None);
        assert_eq!(missed(None, "01T02:11"), Some(at("01T02:00")), "the first run counts too");
        assert_eq!(missed(Some("01T02:05"), "02T02:10"), None);
        assert_eq!(missed(Some("01T02:05"), "02T02:11"), Some(at("02T02:00")));
    }

    #[test]
    fn a_schedule_counts_from_when_it_is_in_force() {
        let weekly = Schedule::parse("0 2 * * 0", "Etc/UTC").unwrap();
        let before = in_force(None, Some(&weekly), at("01T00:00"));
        let last = Some(at("04T02:01"));
        assert_eq!(
            missed(before.as_ref(), &daily(), last, TOLERANCE, at("09T12:00")),
            None,
            "not in force yet"
        );
        let changed = in_force(before.as_ref(), Some(&daily()), at("09T12:00"));
        assert_eq!(changed.as_ref().map(|one| one.since.clone()), Some(at("09T12:00").to_string()));
        assert_eq!(missed(changed.as_ref(), &daily(), last, TOLERANCE, at("10T02:09")), None);
        assert_eq!(missed(changed.as_ref(), &daily(), last, TOLERANCE, at("10T02:11")), Some(at("10T02:00")));
        let stays = in_force(changed.as_ref(), Some(&daily()), at("20T00:00"));
        assert_eq!(stays, changed);
        assert_eq!(
            in_force(changed.as_ref(), None, at("20T00:00")),
            None,
            "a suspended schedule begins anew"
        );
    }
}
