//! Applies the policy to every event before any part of it is written to the log, whichever client or component writes
//! it.

use std::sync::Arc;

use engine_core::event::Draft;
use engine_core::mode::Mode;
use engine_core::policy::{Blocked, Counts, IdentifierError, Policy, PseudonymKey};
use jiff::Timestamp;
use thiserror::Error;

use crate::metrics::Metrics;
use crate::pseudonyms::KeyFault;
use engine_log::CommitError;
use service::in_span;

/// Payloads up to this size, bytes, are checked on the thread of the request. This takes less than two milliseconds.
const AT_ONCE_BYTES: usize = 32 << 10;
/// Field names that are used as metric labels. Events of arbitrary types may have any field names; such fields are
/// counted as `payload`.
const FIELDS: [&str; 6] = ["content", "title", "tags", "actor", "reason", "value"];

/// Why events are not written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Blocked(#[from] Blocked),
    #[error(transparent)]
    Pseudonyms(#[from] KeyFault),
    #[error("writes are off: the mode is {0}")]
    ModeOff(Mode),
}

impl From<IdentifierError> for WriteError {
    fn from(fault: IdentifierError) -> WriteError {
        match fault {
            IdentifierError::Blocked(blocked) => WriteError::Blocked(blocked),
            IdentifierError::NoKey => WriteError::Pseudonyms(KeyFault::Unknown),
        }
    }
}

/// Events that the policy has allowed, in the form in which they may be written. Only [`Gate::pass`] creates this type.
#[derive(Debug)]
pub(crate) struct AllowedEvents(Vec<Draft>);

impl AllowedEvents {
    pub(crate) fn drafts(&self) -> &[Draft] {
        &self.0
    }

    /// Keeps the events whose flag in `keeps` is set.
    pub(crate) fn keep(self, keeps: &[bool]) -> AllowedEvents {
        AllowedEvents(
            self.0.into_iter().zip(keeps).filter(|(_, keeps)| **keeps).map(|(draft, _)| draft).collect(),
        )
    }

    pub(crate) fn into_drafts(self) -> Vec<Draft> {
        self.0
    }
}

/// The policy and its metrics.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    policy: Arc<Policy>,
    metrics: Arc<Metrics>,
}

impl Gate {
    pub(crate) fn new(policy: Arc<Policy>, metrics: Arc<Metrics>) -> Gate {
        Gate { policy, metrics }
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Applies the policy to events and returns them in the form in which they may be written. Identifiers are usually
    /// in stored form already. In events of arbitrary types they may not be, so they are converted here.
    ///
    /// # Errors
    /// The policy blocks an event, in which case all are refused, or the key of the pseudonyms is not loaded.
    pub(crate) async fn pass(
        &self,
        drafts: Vec<Draft>,
        key: Option<PseudonymKey>,
    ) -> Result<AllowedEvents, WriteError> {
        let bytes: usize = drafts.iter().map(|draft| draft.payload.get().len()).sum();
        let now = Timestamp::now();
        if bytes <= AT_ONCE_BYTES {
            return self.judge(drafts, key.as_ref(), now).map(AllowedEvents);
        }
        let gate = self.clone();
        // A failed join means that the thread panicked. The text was then not checked, so nothing is written.
        let judged =
            tokio::task::spawn_blocking(in_span(move || gate.judge(drafts, key.as_ref(), now))).await;
        judged.unwrap_or(Err(WriteError::Commit(CommitError::Stopping))).map(AllowedEvents)
    }

    /// Applies the policy to events, and counts what it blocks and redacts.
    fn judge(
        &self,
        drafts: Vec<Draft>,
        key: Option<&PseudonymKey>,
        now: Timestamp,
    ) -> Result<Vec<Draft>, WriteError> {
        let mut redacted = Counts::default();
        let mut passed = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let (draft, counts) = self.policy.judge_draft(draft, key, now).inspect_err(|fault| {
                if let IdentifierError::Blocked(blocked) = fault {
                    self.metrics.policy.blocked.with_label_values(&[blocked.detector]).inc();
                }
            })?;
            redacted.merge(&counts);
            passed.push(draft);
        }
        for (field, kind, count) in redacted.iter() {
            let field = FIELDS.iter().find(|known| **known == field).copied().unwrap_or("payload");
            self.metrics.policy.redactions.with_label_values(&[field, &kind.name()]).inc_by(count);
        }
        Ok(passed)
    }
}
