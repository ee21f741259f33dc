//! `StandbyVerified`, and the part of the status about the standby.

use crds::StandbyStatus;
use engine_core::wire::{FollowingHealth, StandbyHealth};
use jiff::{SignedDuration, Timestamp};

use super::{facts::Facts, lookup::name, readers::count};
use crate::{
    children::CHILDREN,
    conditions::{Reason, Truth, Verdict},
    names::standby_pod,
    observed::Observed,
    report::quoted,
    validate::{BackupTimes, Essentials},
};

/// Longest text of an engine in a message, characters.
const WHY_CHARS_MAX: usize = 256;
/// The status says the time of the last comparison anew after this part of the age at which it no longer counts.
const PARTS_OF_AN_AGE: i32 = 4;

/// Every reason of the condition.
pub(super) const REASONS: &[Reason] = &[
    Reason::NoStandby,
    Reason::StandbyDiffers,
    Reason::StandbyDamaged,
    Reason::StandbyRestores,
    Reason::StandbyStarting,
    Reason::StandbyOutdated,
];

/// What the pod of the standby reports, if the pod is that of the present spec.
fn report(observed: &Observed) -> Option<(&FollowingHealth, &StandbyHealth)> {
    let set = observed.children.get(&CHILDREN.standby.key(name(observed)))?;
    let following = observed.standby.as_deref().filter(|_| count(set, "updatedReplicas") == 1)?;
    Some((following, following.standby.as_ref()?))
}

/// What the status said before, if that was about the present archive.
fn before<'a>(observed: &'a Observed, times: &BackupTimes) -> Option<&'a StandbyStatus> {
    let before = observed.engine.status.as_ref()?.backup.as_ref()?.standby.as_ref()?;
    (before.archive == times.archive).then_some(before)
}

/// When the standby had the root of the engine last, as far as is known.
fn verified_at(observed: &Observed, times: &BackupTimes) -> Option<Timestamp> {
    let reported = report(observed).and_then(|(_, standby)| standby.verified_at);
    // A clock that is ahead must not make a comparison count for longer.
    let reported = reported.map(|at| at.min(observed.now));
    let kept = before(observed, times).and_then(|before| before.verified_at.as_ref()?.parse().ok());
    reported.max(kept)
}

pub(super) fn verdict(facts: &Facts<'_>) -> Option<Verdict> {
    let essentials = facts.outcome.essentials();
    let wanted = essentials.backup.as_ref().and_then(|times| Some((times, times.standby?)));
    let verdict = |truth, reason, message: String| Some(Verdict::new(truth, reason, message));
    let (times, max_age) = match wanted {
        Some(wanted) if !essentials.hibernate => wanted,
        Some(_) => {
            return verdict(
                Truth::True,
                Reason::NoStandby,
                "the engine hibernates, and its standby too".into(),
            );
        }
        None => return verdict(Truth::True, Reason::NoStandby, "spec.backup.standby is not set".into()),
    };
    let observed = facts.observed;
    if let Some((reason, why)) = report(observed).and_then(wrong) {
        return verdict(Truth::False, reason, why);
    }
    let pod = standby_pod(name(observed));
    let why = unverified(observed, &pod);
    match verified_at(observed, times) {
        Some(at) if observed.now.duration_since(at) <= max_age => verdict(
            Truth::True,
            Reason::StandbyRestores,
            "what the standby has restored from the archive is the log of the engine: both have the same root".into(),
        ),
        Some(at) => verdict(
            Truth::Unknown,
            Reason::StandbyOutdated,
            format!("the standby had the root of the engine last at {}. {why}", seconds(at)),
        ),
        None => verdict(
            Truth::Unknown,
            Reason::StandbyStarting,
            format!("the standby was not compared with the engine yet. {why}"),
        ),
    }
}

/// What is wrong with the archive, or with the copy.
fn wrong((following, standby): (&FollowingHealth, &StandbyHealth)) -> Option<(Reason, String)> {
    if let Some(different) = &standby.different {
        let why = quoted(&different.message, WHY_CHARS_MAX);
        return Some((Reason::StandbyDiffers, format!("the standby has restored another log: {why}")));
    }
    if let Some(damaged) = &standby.damaged {
        let why = quoted(damaged, WHY_CHARS_MAX);
        return Some((Reason::StandbyDamaged, format!("the archive cannot be restored: {why}")));
    }
    let broken = following.broken.as_ref()?;
    let why = quoted(&broken.message, WHY_CHARS_MAX);
    Some((
        Reason::StandbyDamaged,
        format!("the copy of the standby does not verify: {why}. Delete its pod: it restores anew"),
    ))
}

/// Why there is no newer comparison.
fn unverified(observed: &Observed, pod: &str) -> String {
    let Some((following, standby)) = report(observed) else {
        return format!("It does not answer, or is being replaced: see the pod {pod}");
    };
    match standby.fault.as_deref().or(following.fault.as_deref()) {
        Some(fault) => format!("The pod {pod} reports: {}", quoted(fault, WHY_CHARS_MAX)),
        None => format!("The pod {pod} restores the archive"),
    }
}

fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The standby for the status; `None` if the spec wants none.
pub(super) fn standby_status(observed: &Observed, essentials: &Essentials) -> Option<StandbyStatus> {
    let times = essentials.backup.as_ref()?;
    let max_age = times.standby?;
    let kept = before(observed, times).cloned();
    let mut status =
        kept.unwrap_or_else(|| StandbyStatus { archive: times.archive.clone(), ..Default::default() });
    let Some((_, standby)) = report(observed) else { return Some(status) };
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let was = status.verified_at.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
    let at = standby.verified_at.map(|at| at.min(observed.now));
    if let Some(at) = at.filter(|at| is_news(was, *at, max_age)) {
        status.verified_at = Some(seconds(at).to_string());
        status.size = whole(standby.seq);
    }
    if let (Some(took), Some(events)) = (standby.rto_ms, standby.rto_events) {
        (status.rebuild_millis, status.rebuild_size) = (Some(whole(took)), Some(whole(events)));
    }
    Some(status)
}

/// Whether the status has to say a newer time, so that what it says still counts when the next one is due.
fn is_news(was: Option<Timestamp>, at: Timestamp, max_age: SignedDuration) -> bool {
    was.is_none_or(|was| at.duration_since(was) >= max_age / PARTS_OF_AN_AGE)
}
