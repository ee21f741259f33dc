//! What was recorded of a log outside of its volume: in the status, which the API server guards, and on the claim,
//! which outlives the resource. Plain data: [`super::expected`] combines the two.

use crds::{AcceptedRollback, LogStatus};
use engine_core::wire::{self, Anchor, GivenAnchor};
use kube_core::DynamicObject;
use serde::{Deserialize, Serialize};

use crate::names::ANCHOR_ANNOTATION;

/// A point of a log's history, the key that signed it, and every rollback that was accepted before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Which log.
    pub origin: String,
    /// Events it covers.
    pub size: u64,
    /// Root of the Merkle tree over them, 64 hex digits.
    pub root: String,
    /// Verifier key that signed it.
    pub key: String,
    /// Oldest first.
    #[serde(default)]
    pub accepted_rollbacks: Vec<AcceptedRollback>,
}

impl Record {
    /// The anchor in a status, if there is one.
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

    /// How many rollbacks were accepted.
    #[must_use]
    pub fn rollbacks(&self) -> u64 {
        self.accepted_rollbacks.len() as u64
    }

    /// As engines know it.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        Anchor {
            origin: self.origin.clone(),
            size: self.size,
            root: self.root.clone(),
            rollbacks: self.rollbacks(),
        }
    }

    /// What an engine is given. The newest accepted rollback stays in it: the engine records each number once.
    #[must_use]
    pub fn given(&self) -> GivenAnchor {
        GivenAnchor::Known {
            anchor: self.anchor(),
            accepted: self.accepted_rollbacks.last().map(as_engines_know_it),
        }
    }

    /// Where it stands among the records of one log: later is larger.
    #[must_use]
    pub fn age(&self) -> (u64, u64) {
        (self.rollbacks(), self.size)
    }

    /// Whether `newer` can be of the same history, as far as the two of them tell.
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

/// Where an anchor stands: later is larger.
#[must_use]
pub fn age(anchor: &Anchor) -> (u64, u64) {
    (anchor.rollbacks, anchor.size)
}

/// The annotation of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Note {
    /// The claim was made with nothing on it.
    New,
    /// Its log must extend this.
    Known(Record),
}

impl Note {
    /// As it stands on the claim.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("plain values are JSON")
    }
}

/// What the claim says about the log on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimSays {
    /// There is no claim.
    NoClaim,
    /// It has no annotation, or none that can be read: whatever it holds, nobody knows what it held before.
    Nothing,
    /// It was made for this log, and nothing was anchored yet.
    New,
    /// Its log must extend this.
    Known(Record),
}

/// The annotation as it is.
#[must_use]
pub fn note_text(claim: &DynamicObject) -> Option<&str> {
    claim.metadata.annotations.as_ref()?.get(ANCHOR_ANNOTATION).map(String::as_str)
}

/// Reads a claim.
#[must_use]
pub fn claim_says(claim: Option<&DynamicObject>) -> ClaimSays {
    let Some(claim) = claim else { return ClaimSays::NoClaim };
    match note_text(claim).and_then(|text| serde_json::from_str(text).ok()) {
        None => ClaimSays::Nothing,
        Some(Note::New) => ClaimSays::New,
        Some(Note::Known(record)) => ClaimSays::Known(record),
    }
}
