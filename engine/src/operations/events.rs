//! Events as they stand in the log, for operations that answer with them.

use std::borrow::Cow;

use engine_core::format::{EventLine, LineFault};
use engine_core::wire::EventView;
use serde_json::value::RawValue;

use super::Operations;
use crate::refusal::{Refusal, internal, log_corrupt};

impl Operations {
    /// The events of a range, both ends included, in order.
    pub(super) async fn events_between(&self, first: u64, last: u64) -> Result<Vec<EventView>, Refusal> {
        let log = self.engine.log.clone();
        let count = usize::try_from(last + 1 - first).unwrap_or(usize::MAX);
        let read = move || log.lines_after(first.saturating_sub(1), count, usize::MAX);
        let lines = tokio::task::spawn_blocking(read).await.map_err(|fault| internal(&fault))??;
        let views = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(view);
        views.collect::<Result<_, LineFault>>().map_err(|fault| {
            tracing::error!(%fault, "a durable event does not verify");
            log_corrupt()
        })
    }
}

/// A line of the log for a client.
pub(crate) fn view(line: &[u8]) -> Result<EventView, LineFault> {
    let line = EventLine::decode(line)?;
    // Checked when the line was read: the bytes are JSON. What was forgotten shows as null.
    let payload = line.payload().and_then(|payload| RawValue::from_string(payload.to_owned()).ok());
    let EventLine { envelope, hash, .. } = line;
    Ok(EventView {
        seq: envelope.seq,
        id: envelope.id.into_owned(),
        time: envelope.time,
        kind: envelope.kind.into_owned(),
        actor: envelope.actor.into_owned(),
        project: envelope.project.into_owned(),
        session: envelope.session.map(Cow::into_owned),
        causes: envelope.causes.into_iter().map(Cow::into_owned).collect(),
        hash: hash.to_string(),
        payload: payload.unwrap_or_else(|| RawValue::NULL.to_owned()),
    })
}
