//! The audit lines of removals: who removed something, what, and how it ended. They have numbers and codes only: the
//! actor and the reason are texts of the client, and the event of the log has them.

use engine_projection::ClientAddress;
use service::AUDIT;

use super::handle::Written;
use crate::refusal::Refusal;

/// What an audit line says about a removal that was carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Removed {
    /// Number of memories.
    pub(super) memories: u64,
    /// Sequence number of the event that records it; 0 if nothing had to be removed.
    pub(super) seq: u64,
    /// Whether every place is cleared.
    pub(super) complete: bool,
}

/// Logs how a removal ended.
pub(super) fn audit<T>(
    (action, caller): (&'static str, &str),
    outcome: &Result<Written<T>, Refusal>,
    removed: impl FnOnce(&T) -> Removed,
) {
    let client = ClientAddress::current().map(|client| client.to_string()).unwrap_or_default();
    match outcome {
        Ok(written) => {
            let Removed { memories, seq, complete } = removed(&written.answer);
            let replayed = written.replayed;
            tracing::info!(target: AUDIT, action, caller, client, outcome = "done", memories, seq, complete, replayed, "memories were removed");
        }
        Err(refusal) => {
            let outcome = refusal.code().as_str();
            tracing::info!(target: AUDIT, action, caller, client, outcome, "memories were not removed");
        }
    }
}
