//! The result for one condition, and the condition that it becomes.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{ConditionType, Reason};

/// True, False or Unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// Whether the condition holds is not known.
    Unknown,
}

/// The result for one condition type, before it becomes a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the condition holds.
    pub truth: Truth,
    /// The reason.
    pub reason: Reason,
    /// The current state, and what to do about it.
    pub message: String,
    /// The generation of the spec under which this was observed; `None` if it is the present generation.
    pub seen_under: Option<i64>,
}

impl Verdict {
    /// A new verdict.
    #[must_use]
    pub fn new(truth: Truth, reason: Reason, message: impl Into<String>) -> Self {
        Self { truth, reason, message: message.into(), seen_under: None }
    }

    /// Reads a condition, with its generation, as a verdict; `None` if this version of the operator does not know its
    /// reason.
    #[must_use]
    pub fn of(condition: &Condition) -> Option<Self> {
        let truth = match condition.status.as_str() {
            "True" => Truth::True,
            "False" => Truth::False,
            _ => Truth::Unknown,
        };
        let verdict = Self::new(truth, Reason::named(&condition.reason)?, condition.message.clone());
        Some(Self { seen_under: condition.observed_generation, ..verdict })
    }
}

/// Maximum length of a message in the schema, bytes.
const MESSAGE_LENGTH_MAX: usize = 4096;

/// Turns a verdict into a condition. If it was observed under an earlier generation, the message says so. The time of
/// the last transition is kept while the status of the condition does not change.
#[must_use]
pub fn condition(
    kind: ConditionType,
    verdict: &Verdict,
    before: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Condition {
    let status = format!("{:?}", verdict.truth);
    let unchanged = before.iter().find(|old| old.type_ == kind.as_str() && old.status == status);
    Condition {
        type_: kind.as_str().to_owned(),
        last_transition_time: unchanged
            .map_or_else(|| Time(whole_seconds(now)), |old| old.last_transition_time.clone()),
        status,
        reason: verdict.reason.as_str(),
        message: shortened(&verdict.message),
        observed_generation: Some(verdict.seen_under.unwrap_or(generation)),
    }
}

/// The API server stores times with a precision of one second. A more precise time would make every status look
/// changed.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn shortened(message: &str) -> String {
    let mut end = MESSAGE_LENGTH_MAX.min(message.len());
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}
