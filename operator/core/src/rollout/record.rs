//! What the ladder remembers of its decisions.

use serde::{Deserialize, Serialize};

use super::{decision::Cause, gate::Judgement, ladder::Step};

/// Decisions that are remembered. A rollout has about six.
pub const RECORDS_MAX: usize = 8;

/// A decision with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When, seconds since the epoch.
    pub at_s: i64,
    /// The revision it is about.
    pub revision: String,
    /// The step before.
    pub from: Step,
    /// The step after.
    pub to: Step,
    /// Why.
    pub cause: Cause,
    /// The gates that decided: the failed one, or all that had to pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Judgement>,
}
