//! Reads what scheduled work depends on.

use operator_core::{
    children::upkeep_keys,
    observed::Observed,
    tls::Unread,
    upkeep::{SCHEDULED, UpkeepView},
    validate::Essentials,
};

use crate::{context::Context, read_child::child};

/// Reads the objects of the tasks that the spec wants, or wanted.
pub(crate) async fn observe(
    context: &Context,
    observed: &mut Observed,
    essentials: &Essentials,
    silent: bool,
) {
    let engine = &observed.engine;
    let before = engine.status.as_ref().map(|status| status.upkeep.clone()).unwrap_or_default();
    if essentials.upkeep.is_empty() && before.is_empty() {
        return;
    }
    let namespace = engine.metadata.namespace.clone().unwrap_or_default();
    let name = engine.metadata.name.clone().unwrap_or_default();
    let mut view = UpkeepView::default();
    let rows = SCHEDULED.iter().filter(|row| {
        let is_wanted = essentials.upkeep.iter().any(|times| times.task == row.task);
        is_wanted || before.iter().any(|one| one.task == row.task)
    });
    for key in rows.flat_map(|row| upkeep_keys(&name, row.word)) {
        match child(context, &namespace, &key, silent).await {
            Ok(Some(object)) => drop(observed.children.insert(key, object)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%namespace, object = %key, %error, "an object of a schedule could not be read");
                let is_forbidden = error.api().is_some_and(|status| status.code == 403);
                view.unread = Some(Unread { is_forbidden, text: error.to_string() });
                break;
            }
        }
    }
    observed.upkeep = Some(view);
}

#[cfg(test)]
mod tests;
