//! Plans backups: the objects of their Jobs, the call that takes one, and the records.

use crds::MemoryBackup;
use jiff::SignedDuration;

use super::{
    Call, Plan, Step,
    draft::{plan_child, plan_removal_of},
};
use crate::{
    backup::{
        BackupView, Drill, RecordBackup, answered, last_backup, log_id, new_record, take_backup, to_take,
        verdict_on,
    },
    build,
    children::backup_keys,
    deletion::is_last_backup,
    names::final_verification,
    observed::Observed,
    ownership::is_ours,
    validate::Valid,
};

/// How far the clock of a node may be ahead.
const CLOCK_AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);

/// Plans the call that takes a backup, and the records. The records come before the answer to the Job, so that a Job
/// never names a record that does not exist.
pub(super) fn plan_backups(observed: &Observed, valid: &Valid, plan: &mut Plan) {
    let Some(view) = observed.backup.as_ref().filter(|view| view.unread.is_none()) else { return };
    if valid.backup.is_none() {
        for key in backup_keys(&valid.name) {
            plan_removal_of(observed, key, plan);
        }
        return;
    }
    plan.steps.extend(records(observed, valid, view).into_iter().map(Step::Record));
    let log_id = log_id(observed);
    for (key, object) in build::backup(valid, answered(observed, view).as_ref(), log_id.as_deref()) {
        plan_child(observed, &key, &object, plan);
    }
    let max_age = valid.essentials.backup.as_ref().map(|times| times.max_age).unwrap_or_default();
    let wanted = to_take(observed, view).map(|request| take_backup(observed, request, max_age));
    plan.steps.extend(wanted.map(|wanted| Step::Call(Call::TakeBackup(wanted))));
}

/// The writes of records: of a new backup, of what verifications found, and of what is too much.
pub(super) fn records(observed: &Observed, valid: &Valid, view: &BackupView) -> Vec<RecordBackup> {
    let reported = last_backup(observed);
    let archive = valid.essentials.backup.as_ref().map(|times| times.archive.as_str()).unwrap_or_default();
    let new = reported
        .filter(|taken| view.record(&taken.name).is_none())
        .map(|taken| RecordBackup::Make(Box::new(new_record(&valid.name, &valid.namespace, archive, taken))));
    let judged = view.records.iter().filter_map(|record| {
        // The verification that ended last decides.
        let drills = view.drills.iter().filter(|drill| may_judge(observed, record, drill));
        let verdicts = drills.filter_map(|drill| Some((drill.finished_at, verdict_on(record, drill)?)));
        let (_, status) = verdicts.max_by_key(|(at, _)| *at)?;
        let name = record.metadata.name.clone()?;
        Some(RecordBackup::Judge { name, status: Box::new(status) })
    });
    let surplus = view.surplus(reported.map(|taken| taken.name.as_str())).into_iter().filter_map(|record| {
        let (name, uid) = (record.metadata.name.clone()?, record.metadata.uid.clone()?);
        Some(RecordBackup::Forget { name, uid })
    });
    new.into_iter().chain(judged).chain(surplus).collect()
}

/// Whether a verification counts for this record. On a last backup depends whether a claim is deleted: only the Job
/// that the operator has made for it counts.
fn may_judge(observed: &Observed, record: &MemoryBackup, drill: &Drill) -> bool {
    // A verdict from the future would outlast every other one.
    if drill.finished_at.duration_since(observed.now) > CLOCK_AHEAD_MAX {
        return false;
    }
    if !is_last_backup(&observed.engine, record) {
        return true;
    }
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let key = final_verification(name, &record.spec.backup);
    let job = observed.children.get(&key).filter(|live| is_ours(observed, &key, live));
    job.is_some_and(|job| job.metadata.uid.as_ref() == Some(&drill.job))
}
