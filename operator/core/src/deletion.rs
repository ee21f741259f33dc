//! What happens before an engine is deleted, if its spec asks for a last backup: writes stop, the backup is taken and
//! verified, and then the resource may go. Nothing waits for ever: after a limit, and when nothing can be backed up any
//! more, the resource goes and its tombstone says what was skipped.

use crds::{BackupPhase, DeletionOutcome, DeletionPolicy, DeletionStatus, MemoryBackup, MemoryEngine};
use jiff::{SignedDuration, Timestamp};

use crate::{
    backup::{BackupView, LAST_BACKUP_PREFIX, phase, taken_request},
    children::CHILDREN,
    names::{ChildKey, FINALIZER, final_verification},
    observed::Observed,
    ownership::is_ours,
    validate::Essentials,
};

/// Longest time from the request to delete until the resource goes. A last backup takes seconds and its verification
/// minutes; a store that is away for longer must not hold up a deletion.
const LIMIT: SignedDuration = SignedDuration::from_mins(30);
/// Characters of a uid in the id of a request. An id has at most 64.
const UID_CHARS: usize = 16;

/// What is done next about an engine that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The engine takes a backup for this request.
    TakeBackup(String),
    /// The backup with this name is verified by a Job.
    Verify(String),
    /// Something else has to happen first.
    Wait,
    /// The claim is deleted, because a verified backup has everything.
    DeleteClaim,
    /// The resource may go. The status says so first.
    Say(DeletionStatus),
    /// The resource goes.
    Release,
}

/// Whether the resource waits for us before it goes.
#[must_use]
pub fn is_held(engine: &MemoryEngine) -> bool {
    engine.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

/// Whether the resource should wait for us before it goes. `None` if that is as it should be, or cannot be changed any
/// more.
#[must_use]
pub fn wanted_hold(engine: &MemoryEngine, essentials: &Essentials) -> Option<bool> {
    let is_wanted = essentials.deletion_policy != DeletionPolicy::Retain;
    let is_living = engine.metadata.deletion_timestamp.is_none();
    (is_living && is_wanted != is_held(engine)).then_some(is_wanted)
}

/// Whether the resource is being deleted, and waits for us.
#[must_use]
pub fn is_leaving(engine: &MemoryEngine) -> bool {
    engine.metadata.deletion_timestamp.is_some() && is_held(engine)
}

/// Begin of the ids of requests for the last backup. It has the moment of the deletion, so that nobody can ask for it
/// before; whoever asks in a ConfigMap cannot use this prefix at all.
fn begin_of_requests(engine: &MemoryEngine) -> String {
    let uid: String = engine
        .metadata
        .uid
        .iter()
        .flat_map(|uid| uid.chars())
        .filter(|one| *one != '-')
        .take(UID_CHARS)
        .collect();
    let since = engine.metadata.deletion_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    format!("{LAST_BACKUP_PREFIX}{uid}-{since}-")
}

/// The record of the last backup: the one with the most events.
fn last_record<'a>(engine: &MemoryEngine, view: &'a BackupView) -> Option<&'a MemoryBackup> {
    let begin = begin_of_requests(engine);
    let is_last = |record: &&MemoryBackup| {
        record.spec.request.as_ref().is_some_and(|request| request.starts_with(&begin))
    };
    view.records.iter().filter(is_last).max_by_key(|record| record.spec.size)
}

/// The Job that verifies the last backup; `None` if none was taken yet, or the resource does not wait for us.
#[must_use]
pub fn last_verification(engine: &MemoryEngine, view: &BackupView) -> Option<ChildKey> {
    let record = is_leaving(engine).then(|| last_record(engine, view))??;
    Some(verification_of(engine, record))
}

fn verification_of(engine: &MemoryEngine, record: &MemoryBackup) -> ChildKey {
    final_verification(engine.metadata.name.as_deref().unwrap_or_default(), &record.spec.backup)
}

/// Whether this is the record of the last backup before the deletion that is under way.
#[must_use]
pub fn is_last_backup(engine: &MemoryEngine, record: &MemoryBackup) -> bool {
    let begin = begin_of_requests(engine);
    is_leaving(engine) && record.spec.request.as_ref().is_some_and(|request| request.starts_with(&begin))
}

/// What is done next; `None` if the resource does not wait for us. `is_valid` says whether the spec can be carried out.
#[must_use]
pub fn decide(observed: &Observed, essentials: &Essentials, is_valid: bool) -> Option<Farewell> {
    let engine = &observed.engine;
    if !is_leaving(engine) {
        return None;
    }
    let said = engine.status.as_ref().and_then(|status| status.deletion.as_ref());
    // A status that cannot be written must not hold up the deletion either.
    if said.is_some() || has_waited(observed, LIMIT * 2) {
        return Some(Farewell::Release);
    }
    Some(next(observed, essentials, is_valid))
}

fn next(observed: &Observed, essentials: &Essentials, is_valid: bool) -> Farewell {
    let skip = |message: &str| say(DeletionOutcome::Skipped, None, message);
    if essentials.deletion_policy == DeletionPolicy::Retain {
        return skip("the policy asks for no backup");
    }
    if !is_valid {
        return skip("the spec is not valid");
    }
    if essentials.suspend {
        return skip("the engine is suspended");
    }
    let Some(view) = observed.backup.as_ref().filter(|_| essentials.backup.is_some()) else {
        return skip("spec.backup is not set");
    };
    let record = last_record(&observed.engine, view).filter(|record| is_complete(observed, record));
    match (record, record.map_or(BackupPhase::Taken, phase)) {
        (Some(record), BackupPhase::Verified) => verified(observed, essentials, record),
        (Some(record), BackupPhase::Failed) => say(
            DeletionOutcome::NotVerified,
            Some(record),
            "a last backup was taken, and it cannot be restored; the claim is kept",
        ),
        (record, _) => match too_late(observed, essentials, view) {
            Some(why) if record.is_some() => say(
                DeletionOutcome::NotVerified,
                record,
                &format!("a last backup was taken, and not verified: {why}; the claim is kept"),
            ),
            Some(why) => skip(why),
            None => towards(observed, view, record),
        },
    }
}

/// Whether a backup has every event of the log. An engine that cannot be asked has none that the status does not know.
fn is_complete(observed: &Observed, record: &MemoryBackup) -> bool {
    let size = u64::try_from(record.spec.size).unwrap_or_default();
    let known = || {
        let log = observed.engine.status.as_ref().and_then(|status| status.log.as_ref());
        log.and_then(|log| u64::try_from(log.head_seq).ok()).unwrap_or_default()
    };
    size >= observed.report_on_log().map_or_else(known, |health| health.log.seq)
}

fn verified(observed: &Observed, essentials: &Essentials, record: &MemoryBackup) -> Farewell {
    let done = "a last backup was taken and verified";
    let say = |message: String| say(DeletionOutcome::Verified, Some(record), &message);
    if essentials.deletion_policy != DeletionPolicy::BackupThenDelete {
        return say(done.to_owned());
    }
    let key = CHILDREN.claim.key(observed.engine.metadata.name.as_deref().unwrap_or_default());
    match observed.children.get(&key) {
        None if observed.unread.contains_key(&key) => {
            say(format!("{done}; the claim could not be read, and is kept"))
        }
        None => say(done.to_owned()),
        Some(claim) if claim.metadata.deletion_timestamp.is_some() => {
            say(format!("{done}; the claim is deleted"))
        }
        Some(claim) if !is_ours(observed, &key, claim) => {
            say(format!("{done}; the claim belongs to somebody else, and is kept"))
        }
        Some(_) if is_over(observed) => say(format!("{done}; the claim could not be deleted, and is kept")),
        Some(_) => Farewell::DeleteClaim,
    }
}

/// The next step towards a verified backup of a log that no longer grows.
fn towards(observed: &Observed, view: &BackupView, record: Option<&MemoryBackup>) -> Farewell {
    if view.unread.is_some() {
        return Farewell::Wait;
    }
    if let Some(record) = record {
        let job = verification_of(&observed.engine, record);
        return match observed.children.contains_key(&job) {
            true => Farewell::Wait,
            false => Farewell::Verify(record.spec.backup.clone()),
        };
    }
    let Some(health) = observed.report_on_log() else { return Farewell::Wait };
    let writes_stopped = health.mode.as_ref().is_some_and(|mode| !mode.effective.writes());
    if health.archive.is_none() || !writes_stopped {
        return Farewell::Wait;
    }
    let asked = format!("{}{}", begin_of_requests(&observed.engine), health.log.seq);
    let is_taken = taken_request(observed).as_ref() == Some(&asked);
    if is_taken { Farewell::Wait } else { Farewell::TakeBackup(asked) }
}

/// Why nothing more is waited for; `None` while there is time.
fn too_late(observed: &Observed, essentials: &Essentials, view: &BackupView) -> Option<&'static str> {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let goes = |key: &ChildKey| {
        let live = observed.children.get(key);
        !observed.unread.contains_key(key)
            && live.is_none_or(|live| live.metadata.deletion_timestamp.is_some())
    };
    if goes(&CHILDREN.claim.key(name)) || goes(&CHILDREN.stateful_set.key(name)) {
        return Some("its objects are being deleted too, with their namespace or by a foreground deletion");
    }
    if essentials.hibernate {
        return Some("the engine hibernates");
    }
    if view.unread.as_ref().is_some_and(|unread| unread.is_forbidden) {
        return Some("the operator has no permission on Secrets and Jobs in the namespace");
    }
    is_over(observed).then_some("the limit of 30 minutes is over")
}

fn is_over(observed: &Observed) -> bool {
    has_waited(observed, LIMIT)
}

fn has_waited(observed: &Observed, time: SignedDuration) -> bool {
    let since = observed.engine.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    since.is_some_and(|since: Timestamp| observed.now.duration_since(since) > time)
}

fn say(outcome: DeletionOutcome, record: Option<&MemoryBackup>, message: &str) -> Farewell {
    Farewell::Say(DeletionStatus {
        outcome,
        backup: record.and_then(|record| record.metadata.name.clone()),
        message: message.to_owned(),
    })
}
