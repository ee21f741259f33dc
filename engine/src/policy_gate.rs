//! What stands before the log: every event is judged by the policy before the first byte of it is written, whoever
//! asks for it.

use std::sync::Arc;

use engine_core::event::Draft;
use engine_core::policy::{Blocked, Counts, NotNamed, Policy, PseudonymKey};
use jiff::Timestamp;
use thiserror::Error;

use crate::metrics::Metrics;
use crate::pseudonyms::KeyFault;
use engine_log::CommitError;

/// Payloads up to this size are judged on the thread of the request: less than two milliseconds.
const AT_ONCE_BYTES: usize = 32 << 10;
/// Fields that the metrics tell apart; of events of other types, names of fields are anybody's.
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
}

impl From<NotNamed> for WriteError {
    fn from(fault: NotNamed) -> WriteError {
        match fault {
            NotNamed::Blocked(blocked) => WriteError::Blocked(blocked),
            NotNamed::NoKey => WriteError::Pseudonyms(KeyFault::Unknown),
        }
    }
}

/// Events that the policy has let pass, as they may be written. Made by [`Gate::pass`] alone.
#[derive(Debug)]
pub(crate) struct Passed(Vec<Draft>);

impl Passed {
    pub(crate) fn drafts(&self) -> &[Draft] {
        &self.0
    }

    /// Without those that are not to be kept.
    pub(crate) fn keep(self, keeps: &[bool]) -> Passed {
        Passed(self.0.into_iter().zip(keeps).filter(|(_, keeps)| **keeps).map(|(draft, _)| draft).collect())
    }

    pub(crate) fn into_drafts(self) -> Vec<Draft> {
        self.0
    }
}

/// The policy, and who counts what it does.
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

    /// The events as they may be written. One that may not be refuses them all. Identifiers come here as they are
    /// stored; what of them is not, of an event that anybody may write, is made so.
    pub(crate) async fn pass(
        &self,
        drafts: Vec<Draft>,
        key: Option<PseudonymKey>,
    ) -> Result<Passed, WriteError> {
        let bytes: usize = drafts.iter().map(|draft| draft.payload.get().len()).sum();
        let now = Timestamp::now();
        if bytes <= AT_ONCE_BYTES {
            return self.judge(drafts, key.as_ref(), now).map(Passed);
        }
        let gate = self.clone();
        // A thread that is gone is one that panicked: nothing is known of the text, so nothing is written.
        let judged = tokio::task::spawn_blocking(move || gate.judge(drafts, key.as_ref(), now)).await;
        judged.unwrap_or(Err(WriteError::Commit(CommitError::Stopping))).map(Passed)
    }

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
                if let NotNamed::Blocked(blocked) = fault {
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
