//! The records of a log outside of its volume. One is in the status, where the CRD's transition rules protect it; the
//! other is on the claim, which outlives the resource. This module defines the records; [`super::expected`] combines
//! the two.

use crds::{AcceptedRollback, LogStatus};
use engine_core::wire::{self, Anchor, GivenAnchor};
use kube_core::DynamicObject;
use serde::{Deserialize, Serialize};

use crate::names::ANCHOR_ANNOTATION;

/// A point in a log's history, the key that signed it, and the rollbacks accepted before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Origin of the log.
    pub origin: String,
    /// Number of events before this point.
    pub size: u64,
    /// Root of the Merkle tree over these events, 64 hexadecimal digits.
    pub root: String,
    /// Verifier key of the key that signed this root.
    pub key: String,
    /// Accepted rollbacks, oldest first.
    #[serde(default)]
    pub accepted_rollbacks: Vec<AcceptedRollback>,
}

impl Record {
    /// Reads the anchor in a status; `None` if the status has none.
    #[must_use]
    pub fn of_status(log: &LogStatus) -> Option<Self> {
        Some(Self {
            origin: log.origin.clone()?,
            size: u64::try_from(log.size?).ok()?,
            root: log.root.clone()?,
            key: log.key.clone()?,
            accepted_rollbacks: log.accepted_rollbacks.clone(),
        })
    }

    /// Number of accepted rollbacks.
    #[must_use]
    pub fn rollbacks(&self) -> u64 {
        self.accepted_rollbacks.len() as u64
    }

    /// The record in the engine's format.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        Anchor {
            origin: self.origin.clone(),
            size: self.size,
            root: self.root.clone(),
            rollbacks: self.rollbacks(),
        }
    }

    /// The anchor in the form that is sent to the engine. It contains only the newest accepted rollback: the engine
    /// records each rollback number only once.
    #[must_use]
    pub fn given(&self) -> GivenAnchor {
        GivenAnchor::Known {
            anchor: self.anchor(),
            accepted: self.accepted_rollbacks.last().map(as_engines_know_it),
        }
    }

    /// Key for comparing records of one log: a later record has a larger key.
    #[must_use]
    pub fn age(&self) -> (u64, u64) {
        (self.rollbacks(), self.size)
    }

    /// Whether `self` and `newer` can belong to the same history. Only the two records are compared, not the log.
    pub(super) fn may_lead_to(&self, newer: &Self) -> bool {
        let same = self.age() == newer.age();
        self.origin == newer.origin
            && newer.accepted_rollbacks.starts_with(&self.accepted_rollbacks)
            && (!same || self.root == newer.root)
    }
}

fn as_engines_know_it(accepted: &AcceptedRollback) -> wire::AcceptedRollback {
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    wire::AcceptedRollback {
        number: number(accepted.number),
        from_size: number(accepted.from_size),
        from_root: accepted.from_root.clone(),
        to_size: number(accepted.to_size),
        to_root: accepted.to_root.clone(),
        reason: accepted.reason.clone(),
    }
}

/// Key for comparing anchors of one log: a later anchor has a larger key.
#[must_use]
pub fn age(anchor: &Anchor) -> (u64, u64) {
    (anchor.rollbacks, anchor.size)
}

/// Whether an engine that holds `held` has taken over the anchor `given`, or has a newer one of the same log.
#[must_use]
pub fn holds(held: Option<&Anchor>, given: &GivenAnchor) -> bool {
    let GivenAnchor::Known { anchor, .. } = given else { return true };
    held.is_some_and(|held| {
        let is_newer = age(held) > age(anchor);
        held.origin == anchor.origin && (is_newer || held == anchor)
    })
}

/// The content of the claim's annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AnchorAnnotation {
    /// The claim was created for an empty volume.
    New,
    /// The log must extend this record.
    Known(Record),
}

impl AnchorAnnotation {
    /// The annotation as text.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("plain values are JSON")
    }
}

/// What the claim records about the log on its volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimRecord {
    /// There is no claim.
    NoClaim,
    /// The claim has no readable annotation: the earlier content of its volume is unknown.
    Nothing,
    /// The claim was created for a new log, and nothing has been anchored yet.
    New,
    /// The log must extend this record.
    Known(Record),
}

/// The text of the claim's annotation, if it has one.
#[must_use]
pub fn note_text(claim: &DynamicObject) -> Option<&str> {
    claim.metadata.annotations.as_ref()?.get(ANCHOR_ANNOTATION).map(String::as_str)
}

/// Reads the record on a claim.
#[must_use]
pub fn claim_record(claim: Option<&DynamicObject>) -> ClaimRecord {
    let Some(claim) = claim else { return ClaimRecord::NoClaim };
    match note_text(claim).and_then(|text| serde_json::from_str(text).ok()) {
        None => ClaimRecord::Nothing,
        Some(AnchorAnnotation::New) => ClaimRecord::New,
        Some(AnchorAnnotation::Known(record)) => ClaimRecord::Known(record),
    }
}
