//! What happens before an engine is deleted, if its spec asks for a last backup: the backup is taken and verified, and
//! then the resource may go. Nothing waits for ever: after a limit, and when nothing can be backed up any more, the
//! resource goes and its tombstone says what was skipped.

use crds::{BackupPhase, DeletionOutcome, DeletionPolicy, DeletionStatus, MemoryBackup, MemoryEngine};
use jiff::{SignedDuration, Timestamp};

use crate::{
    backup::{BackupView, phase, taken_request},
    children::CHILDREN,
    names::{ChildKey, FINALIZER, final_verification},
    observed::Observed,
    validate::Essentials,
};

/// Longest time from the request to delete until the resource goes. A last backup takes seconds and its verification
/// minutes; a store that is away for longer must not hold up a deletion.
const LIMIT: SignedDuration = SignedDuration::from_mins(30);

/// What is done next about an engine that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The engine takes a backup for this request.
    TakeBackup(String),
    /// The backup is verified by a Job.
    Verify,
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

/// Id of the request for the last backup of an engine.
fn request(engine: &MemoryEngine) -> String {
    format!("final-{}", engine.metadata.uid.as_deref().unwrap_or_default())
}

/// What is done next; `None` if the resource does not wait for us. `is_valid` says whether the spec can be carried out.
#[must_use]
pub fn decide(observed: &Observed, essentials: &Essentials, is_valid: bool) -> Option<Farewell> {
    let engine = &observed.engine;
    if !is_leaving(engine) {
        return None;
    }
    let said = engine.status.as_ref().and_then(|status| status.deletion.as_ref());
    let next = next(observed, essentials, is_valid);
    Some(match next {
        Farewell::Say(_) if said.is_some() => Farewell::Release,
        next => next,
    })
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
    let asked = request(&observed.engine);
    let record = view.records.iter().find(|record| record.spec.request.as_ref() == Some(&asked));
    let outcome = record.map_or(BackupPhase::Taken, phase);
    match (record, outcome) {
        (Some(_), BackupPhase::Verified) if must_delete_claim(observed, essentials) => Farewell::DeleteClaim,
        (Some(record), BackupPhase::Verified) => {
            say(DeletionOutcome::Verified, Some(record), "a last backup was taken and verified")
        }
        (Some(record), BackupPhase::Failed) => say(
            DeletionOutcome::NotVerified,
            Some(record),
            "a last backup was taken, and it cannot be restored; the claim is kept",
        ),
        (record, _) => match too_late(observed) {
            Some(why) if record.is_some() => say(
                DeletionOutcome::NotVerified,
                record,
                &format!("a last backup was taken, and not verified: {why}"),
            ),
            Some(why) => skip(why),
            None => towards(observed, view, record, asked),
        },
    }
}

/// The next step towards a verified backup.
fn towards(observed: &Observed, view: &BackupView, record: Option<&MemoryBackup>, asked: String) -> Farewell {
    if view.unread.is_some() {
        return Farewell::Wait;
    }
    if record.is_some() {
        let job = final_verification(observed.engine.metadata.name.as_deref().unwrap_or_default());
        return if observed.children.contains_key(&job) { Farewell::Wait } else { Farewell::Verify };
    }
    let has_archive = observed.report_on_log().is_some_and(|health| health.archive.is_some());
    let is_taken = taken_request(observed).as_ref() == Some(&asked);
    if has_archive && !is_taken { Farewell::TakeBackup(asked) } else { Farewell::Wait }
}

/// Why nothing more is waited for; `None` while there is time.
fn too_late(observed: &Observed) -> Option<&'static str> {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let goes = |key: &ChildKey| {
        let live = observed.children.get(key);
        !observed.unread.contains_key(key)
            && live.is_none_or(|live| live.metadata.deletion_timestamp.is_some())
    };
    if goes(&CHILDREN.claim.key(name)) || goes(&CHILDREN.stateful_set.key(name)) {
        return Some("its objects are being deleted too, for example with their namespace");
    }
    let since = observed.engine.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let is_late = since.is_some_and(|since: Timestamp| observed.now.duration_since(since) > LIMIT);
    is_late.then_some("the limit of 30 minutes is over")
}

fn must_delete_claim(observed: &Observed, essentials: &Essentials) -> bool {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let claim = observed.children.get(&CHILDREN.claim.key(name));
    essentials.deletion_policy == DeletionPolicy::BackupThenDelete
        && claim.is_some_and(|claim| claim.metadata.deletion_timestamp.is_none())
}

fn say(outcome: DeletionOutcome, record: Option<&MemoryBackup>, message: &str) -> Farewell {
    Farewell::Say(DeletionStatus {
        outcome,
        backup: record.and_then(|record| record.metadata.name.clone()),
        message: message.to_owned(),
    })
}
