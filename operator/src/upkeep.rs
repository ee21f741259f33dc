//! Reads what scheduled work depends on.

use operator_core::{
    children::upkeep_keys,
    observed::Observed,
    upkeep::{SCHEDULED, UpkeepView},
    validate::Essentials,
};

use crate::{context::Context, read_child::children};

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
    let name = engine.metadata.name.clone().unwrap_or_default();
    let rows = SCHEDULED.iter().filter(|row| {
        let is_wanted = essentials.upkeep.iter().any(|times| times.task == row.task);
        is_wanted || before.iter().any(|one| one.task == row.task)
    });
    let keys: Vec<_> = rows.flat_map(|row| upkeep_keys(&name, row.word)).collect();
    let unread = children(context, observed, keys, silent).await;
    observed.upkeep = Some(UpkeepView { unread, ..UpkeepView::default() });
}

#[cfg(test)]
mod tests;
