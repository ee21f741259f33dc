//! Reads what backups depend on.

use operator_core::{
    backup::{BackupView, drill},
    children::backup_keys,
    deletion::is_leaving,
    names::final_verification,
    observed::Observed,
    tls::Unread,
    validate::Essentials,
};

use crate::{context::Context, read_child::child};

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
    let last = is_leaving(engine).then(|| final_verification(&name));
    for key in backup_keys(&name).into_iter().chain(last) {
        match child(context, &namespace, &key, silent).await {
            Ok(Some(object)) => drop(observed.children.insert(key, object)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%namespace, object = %key, %error, "an object of backups could not be read");
                let is_forbidden = error.api().is_some_and(|status| status.code == 403);
                view.unread = Some(Unread { is_forbidden, text: error.to_string() });
                break;
            }
        }
    }
    observed.backup = Some(view);
}

#[cfg(test)]
mod tests;
