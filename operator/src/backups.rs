//! Reads what backups depend on.

use operator_core::{
    backup::{BackupView, drill},
    children::backup_keys,
    deletion::last_verification,
    observed::Observed,
    validate::Essentials,
};

use crate::{context::Context, read_child::children};

/// Reads the objects of backups, the records, and the verifications that have ended.
pub(crate) async fn observe(
    context: &Context,
    observed: &mut Observed,
    essentials: &Essentials,
    silent: bool,
) {
    let engine = &observed.engine;
    if essentials.backup.is_none() && engine.status.as_ref().is_none_or(|status| status.backup.is_none()) {
        return;
    }
    let namespace = engine.metadata.namespace.clone().unwrap_or_default();
    let name = engine.metadata.name.clone().unwrap_or_default();
    let mut view = BackupView {
        records: context.cache.backups(&namespace, &name),
        drills: context.cache.jobs(&namespace, &name).iter().filter_map(|pod| drill(pod)).collect(),
        ..BackupView::default()
    };
    let last = last_verification(engine, &view);
    view.unread = children(context, observed, backup_keys(&name).into_iter().chain(last), silent).await;
    observed.backup = Some(view);
}

#[cfg(test)]
mod tests;
