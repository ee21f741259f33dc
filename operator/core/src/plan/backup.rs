//! Plans backups: the objects of their Jobs, the call that takes one, and the records.

use super::{
    Call, Plan, Step,
    draft::{plan_child, plan_removal_of},
};
use crate::{
    backup::{BackupView, RecordBackup, answered, last_backup, new_record, to_take, verdict_on},
    build,
    children::backup_keys,
    observed::Observed,
    validate::Valid,
};

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
    for (key, object) in build::backup(valid, answered(observed, view).as_ref()) {
        plan_child(observed, &key, &object, plan);
    }
    plan.steps.extend(to_take(observed, view).map(|request| Step::Call(Call::TakeBackup(request))));
}

/// The writes of records: of a new backup, of what verifications found, and of what is too much.
pub(super) fn records(observed: &Observed, valid: &Valid, view: &BackupView) -> Vec<RecordBackup> {
    let taken = last_backup(observed).filter(|taken| view.record(&taken.name).is_none());
    let new =
        taken.map(|taken| RecordBackup::Make(Box::new(new_record(&valid.name, &valid.namespace, taken))));
    let judged = view.records.iter().filter_map(|record| {
        // The verification that ended last decides.
        let verdicts =
            view.drills.iter().filter_map(|drill| Some((drill.finished_at, verdict_on(record, drill)?)));
        let (_, status) = verdicts.max_by_key(|(at, _)| *at)?;
        let name = record.metadata.name.clone()?;
        Some(RecordBackup::Judge { name, status: Box::new(status) })
    });
    let surplus = view.surplus().into_iter().filter_map(|record| {
        let (name, uid) = (record.metadata.name.clone()?, record.metadata.uid.clone()?);
        Some(RecordBackup::Forget { name, uid })
    });
    new.into_iter().chain(judged).chain(surplus).collect()
}
