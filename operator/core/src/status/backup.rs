//! `BackupHealthy` and `Restored`, and the parts of the status about backups.

use crds::{BackupPhase, BackupStatus, LastBackup, MemoryBackup, RestoredStatus, ScheduleInForce};
use engine_core::wire::{ArchiveHealth, ArchiveState};
use jiff::{SignedDuration, Timestamp};

use super::{facts::Facts, lookup::health, secrets::forbidden_message};
use crate::{
    backup::{BackupView, phase, taken_at},
    children::backup_keys,
    conditions::{Reason, Truth, Verdict},
    observed::Observed,
    punctuality::{in_force, missed},
    report::quoted,
    schedule::Schedule,
    validate::{BackupTimes, Essentials},
};

/// How late a backup may be: the run is spread, the image is pulled, and a pod that failed is started again.
const OVERDUE_AFTER: SignedDuration = SignedDuration::from_mins(45);

/// Longest reason of an engine in a message, characters.
const WHY_CHARS_MAX: usize = 256;

/// How far an archive may be behind, seconds: two of its longest intervals.
const LAG_SECONDS_MAX: u64 = 7_200;

fn verdict(truth: Truth, reason: Reason, message: impl Into<String>) -> Option<Verdict> {
    Some(Verdict::new(truth, reason, message))
}

/// What is wanted, and what was found.
fn parts<'a>(facts: &Facts<'a>) -> Option<(&'a BackupTimes, &'a BackupView)> {
    Some((facts.outcome.essentials().backup.as_ref()?, facts.observed.backup.as_ref()?))
}

fn archive<'a>(facts: &Facts<'a>) -> Option<&'a ArchiveHealth> {
    health(facts.observed)?.archive.as_ref()
}

fn name(record: &MemoryBackup) -> &str {
    record.metadata.name.as_deref().unwrap_or_default()
}

pub(super) fn not_wanted(facts: &Facts<'_>) -> Option<Verdict> {
    let is_wanted = facts.outcome.essentials().backup.is_some();
    let message = "spec.backup is not set: the memories are lost with the volume";
    (!is_wanted).then(|| Verdict::new(Truth::False, Reason::NoBackups, message))
}

/// The verdict on objects that the operator cannot read.
pub(super) fn unread(facts: &Facts<'_>) -> Option<Verdict> {
    let (_, view) = parts(facts)?;
    let unread = view.unread.as_ref()?;
    match unread.is_forbidden {
        true => verdict(Truth::Unknown, Reason::SecretsForbidden, forbidden_message(facts.observed, unread)),
        false => verdict(
            Truth::Unknown,
            Reason::BackupsUnreadable,
            format!("an object of backups could not be read: {}. The operator retries", unread.text),
        ),
    }
}

/// The verdict on an archive that does not follow the log.
pub(super) fn not_archived(facts: &Facts<'_>) -> Option<Verdict> {
    let archive = archive(facts)?;
    let error = archive.error.as_deref().unwrap_or_default();
    match archive.state {
        ArchiveState::Failing | ArchiveState::Ended => verdict(
            Truth::False,
            Reason::ArchiveFailing,
            format!("the log is not archived, and writes go on: {error}"),
        ),
        ArchiveState::Ahead => verdict(
            Truth::False,
            Reason::ArchiveAhead,
            format!(
                "the archive has events that this log does not have, so the volume is an older copy: restore the log \
                 from the archive. {error}"
            ),
        ),
        ArchiveState::Opening | ArchiveState::Archiving if archive.lag_seconds > LAG_SECONDS_MAX => verdict(
            Truth::False,
            Reason::ArchiveFailing,
            format!("the archive is more than {LAG_SECONDS_MAX} s behind the log. {error}"),
        ),
        ArchiveState::Opening | ArchiveState::Archiving => None,
    }
}

/// The verdict on an engine that reports no archive although one is wanted.
pub(super) fn not_reported(facts: &Facts<'_>) -> Option<Verdict> {
    let reports = health(facts.observed).is_some_and(|health| health.archive.is_none());
    let message = "the engine reports no archive: it has another configuration yet, or is too old";
    reports.then(|| Verdict::new(Truth::Unknown, Reason::ArchiveNotReported, message))
}

/// The verdict on a backup that does not restore: the newest one that was tried.
pub(super) fn not_restorable(facts: &Facts<'_>) -> Option<Verdict> {
    let (_, view) = parts(facts)?;
    let tried = view.records.iter().filter(|record| phase(record) != BackupPhase::Taken);
    let newest = tried.max_by_key(|record| taken_at(record))?;
    if phase(newest) != BackupPhase::Failed {
        return None;
    }
    let why = newest.status.as_ref().and_then(|status| status.message.as_deref()).unwrap_or_default();
    let before = view.last_verified().map_or_else(
        || "No other backup is verified".to_owned(),
        |(record, at)| format!("The newest verified one is {}, verified at {at}", name(record)),
    );
    verdict(
        Truth::False,
        Reason::BackupNotRestorable,
        format!("the backup {} cannot be restored: {why}. {before}", name(newest)),
    )
}

/// The schedule of backups. An engine without a pod takes none, and one that nobody touches is asked for none.
fn taking<'a>(times: &'a BackupTimes, essentials: &Essentials) -> Option<&'a Schedule> {
    times.schedule.as_ref().filter(|_| !essentials.hibernate && !essentials.suspend)
}

fn in_force_before(observed: &Observed) -> Option<&ScheduleInForce> {
    observed.engine.status.as_ref()?.backup.as_ref()?.schedule.as_ref()
}

/// The verdict on a schedule that is not kept.
pub(super) fn overdue(facts: &Facts<'_>) -> Option<Verdict> {
    let (times, view) = parts(facts)?;
    let (observed, schedule) = (facts.observed, taking(times, facts.outcome.essentials())?);
    let last = view.newest().and_then(taken_at);
    let due = missed(in_force_before(observed), schedule, last, OVERDUE_AFTER, observed.now)?;
    let newest = view
        .newest()
        .map_or_else(|| "none was taken".to_owned(), |one| format!("the newest one is {}", name(one)));
    let cron_job = crate::names::backup(super::lookup::name(observed));
    verdict(
        Truth::False,
        Reason::BackupOverdue,
        format!("a backup was due at {due}, and {newest}: see the Jobs of the CronJob {cron_job}"),
    )
}

/// What is said beside a verdict while the engine does not report the backup that it was asked for.
fn refusal(view: &BackupView) -> String {
    let why = view.refusal.as_deref();
    why.map(|why| format!(". The engine was asked for a backup and has not reported it: {why}"))
        .unwrap_or_default()
}

/// What is said beside a verdict while what the rules of retention no longer keep stays in the archive.
fn not_removed(facts: &Facts<'_>) -> String {
    let pruned = archive(facts).and_then(|archive| archive.last_backup.as_ref()?.pruned.as_ref());
    let why = pruned.and_then(|pruned| pruned.skipped.as_deref());
    why.map(|why| {
        format!(". Not everything that may go was removed from the archive: {}", quoted(why, WHY_CHARS_MAX))
    })
    .unwrap_or_default()
}

/// The verdict on backups of which none counts yet, or none any more.
pub(super) fn unproven(facts: &Facts<'_>) -> Option<Verdict> {
    let (times, view) = parts(facts)?;
    let last = view.undecided().map(|(drill, why)| format!(". The last verification, {}: {why}", drill.pod));
    let last =
        last.unwrap_or_default() + &refusal(view) + ". Until then no backup is removed from the archive";
    let job = crate::names::verification(super::lookup::name(facts.observed));
    match view.last_verified() {
        None => verdict(
            Truth::Unknown,
            Reason::BackupNotVerified,
            format!(
                "no backup was verified yet. kubectl create job --from=cronjob/{job} verifies the newest one{last}"
            ),
        ),
        Some((record, at)) if facts.observed.now.duration_since(at) > times.max_age => verdict(
            Truth::Unknown,
            Reason::VerificationTooOld,
            format!(
                "the last verified backup is {}, and its verdict of {at} no longer counts. kubectl create job \
                 --from=cronjob/{job} verifies the newest one{last}",
                name(record)
            ),
        ),
        Some(_) => None,
    }
}

/// What is said of a store of keys that keeps older versions.
const KEYS_ARE_VERSIONED: &str = ". The store keeps older versions of the keys: whoever can read these can read from \
    the archive what was forgotten. Use a bucket without versions for spec.backup.destination.keysUrl";
/// What is said of a store that overwrites.
const UNCONDITIONAL: &str = ". The store overwrites objects that should be created only if they are absent: two \
    engines on copies of one volume are told apart by fences only. Use a store that honours If-None-Match";

/// The verdict on backups that count.
pub(super) fn verified(facts: &Facts<'_>) -> Option<Verdict> {
    let (_, view) = parts(facts)?;
    let (record, at) = view.last_verified()?;
    let size = record.spec.size;
    let beside = refusal(view) + &not_removed(facts);
    let message =
        format!("the backup {} of {size} events was restored and verified at {at}{beside}", name(record));
    let told = |told: fn(&ArchiveHealth) -> Option<bool>| archive(facts).and_then(told);
    let is_versioned = told(|archive| archive.keys_versioned) == Some(true);
    let is_unconditional = told(|archive| archive.conditional_put) == Some(false);
    let versioned = if is_versioned { KEYS_ARE_VERSIONED } else { "" };
    let unconditional = if is_unconditional { UNCONDITIONAL } else { "" };
    let reason = match (is_versioned, is_unconditional) {
        // The first comes true with every request to forget, the second only if there is another engine.
        (true, _) => Reason::KeysAreVersioned,
        (false, true) => Reason::ConditionalPutUnsupported,
        (false, false) => Reason::BackupVerified,
    };
    verdict(Truth::True, reason, format!("{message}{versioned}{unconditional}"))
}

/// The verdict while nothing is known.
pub(super) fn unknown(_: &Facts<'_>) -> Option<Verdict> {
    verdict(Truth::Unknown, Reason::BackupNotVerified, "backups were not looked at yet")
}

fn last_backup(record: &MemoryBackup, at: Timestamp) -> LastBackup {
    LastBackup { name: name(record).to_owned(), at: at.to_string(), size: record.spec.size }
}

/// The part of the status about backups. While objects of backups exist that the spec no longer wants, it stays, so
/// that the operator deletes them.
pub(super) fn backup_status(observed: &Observed, essentials: &Essentials) -> Option<BackupStatus> {
    let view = observed.backup.as_ref()?;
    let engine = super::lookup::name(observed);
    let is_left = || backup_keys(engine).iter().any(|key| observed.children.contains_key(key));
    if essentials.backup.is_none() && view.unread.is_none() && !is_left() {
        return None;
    }
    let next = |schedule: Option<&Schedule>| Some(schedule?.next(observed.now)?.to_string());
    let times = essentials.backup.as_ref();
    let taking = times.and_then(|times| taking(times, essentials));
    Some(BackupStatus {
        last_taken: view.newest().and_then(|record| Some(last_backup(record, taken_at(record)?))),
        last_verified: view.last_verified().map(|(record, at)| last_backup(record, at)),
        schedule: in_force(in_force_before(observed), taking, observed.now),
        next_backup: next(taking),
        standby: super::standby::standby_status(observed, essentials),
        next_verification: next(times.and_then(|times| times.verification.as_ref())),
    })
}

/// From what the log was restored, as the engine last reported it.
pub(super) fn restored_status(observed: &Observed) -> Option<RestoredStatus> {
    let before = observed.engine.status.as_ref().and_then(|status| status.restored.clone());
    let Some(restored) = health(observed).and_then(|health| health.restored.as_ref()) else { return before };
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Some(RestoredStatus {
        backup: restored.backup.clone(),
        size: whole(restored.events),
        root: restored.root.clone(),
        anchored: restored.anchored,
        damaged: whole(restored.damaged),
        at: restored.at.map(|at| at.to_string()),
    })
}

pub(super) fn not_restored(facts: &Facts<'_>) -> Option<Verdict> {
    let is_restored = restored_status(facts.observed).is_some();
    let is_wanted = facts.outcome.essentials().restored.is_some();
    let message = "the log was not restored from a backup";
    (!is_restored && !is_wanted).then(|| Verdict::new(Truth::False, Reason::NotRestored, message))
}

/// The verdict on a restore that has not ended well.
pub(super) fn restore_fails(facts: &Facts<'_>) -> Option<Verdict> {
    let failure = facts.observed.writer().pod.as_ref()?.restore_failure.as_ref()?;
    verdict(
        Truth::False,
        Reason::RestoreFailed,
        format!("nothing was restored, and the kubelet tries again: {failure}"),
    )
}

pub(super) fn restore_pending(facts: &Facts<'_>) -> Option<Verdict> {
    let is_restored = restored_status(facts.observed).is_some();
    let message = "the restore has not ended yet";
    (!is_restored).then(|| Verdict::new(Truth::False, Reason::RestorePending, message))
}

pub(super) fn restored(facts: &Facts<'_>) -> Option<Verdict> {
    let RestoredStatus { backup, size, root, anchored, damaged, .. } = restored_status(facts.observed)?;
    let damage = match damaged {
        0 => String::new(),
        _ => format!(". {damaged} objects of the archive could not be used: it once had more"),
    };
    let message = format!("{size} events were restored from {backup}, with the root {root}{damage}");
    match anchored {
        true => verdict(Truth::True, Reason::RestoredAnchored, message),
        false => verdict(
            Truth::True,
            Reason::RestoredUnanchored,
            format!(
                "{message}. Nothing outside of the archive vouches for it: spec.bootstrap.fromBackup.atLeast was not set"
            ),
        ),
    }
}
