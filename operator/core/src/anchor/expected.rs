//! The history that the log of an engine must extend, computed once per reconcile from the status and the claim.

use engine_core::wire::GivenAnchor;

use super::record::{ClaimRecord, Record, claim_record};
use crate::{observed::Observed, storage};

/// The history that the log must extend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedHistory {
    /// None: the volume is new.
    New,
    /// Unknown: the volume was kept, and no record describes its content.
    Missing,
    /// The log must extend these records.
    Extend {
        /// The newest record.
        newest: Box<Record>,
        /// The record in the status, if the claim has a newer one of the same history: the log must extend both.
        older: Option<Box<Record>>,
    },
    /// The records in the status and on the claim contradict each other.
    Contradiction {
        /// The record in the status.
        status: Box<Record>,
        /// The record on the claim.
        claim: Box<Record>,
    },
}

impl ExpectedHistory {
    /// The newest valid record, if there is one.
    #[must_use]
    pub fn newest(&self) -> Option<&Record> {
        match self {
            Self::Extend { newest, .. } => Some(newest),
            Self::New | Self::Missing | Self::Contradiction { .. } => None,
        }
    }
}

/// The anchor in the stored status.
#[must_use]
pub fn in_status(observed: &Observed) -> Option<Record> {
    observed.engine.status.as_ref()?.log.as_ref().and_then(Record::of_status)
}

/// The history that the log of an engine must extend. It is computed before the writes of a reconcile; the query, the
/// plan and the status of that reconcile use the same value.
#[must_use]
pub fn expected_history(observed: &Observed) -> ExpectedHistory {
    let name = observed.engine.metadata.name.as_deref().unwrap_or_default();
    let extend = |newest: Record, older: Option<Record>| ExpectedHistory::Extend {
        newest: Box::new(newest),
        older: older.map(Box::new),
    };
    match (in_status(observed), claim_record(storage::claim_of(observed, name))) {
        (None, ClaimRecord::NoClaim | ClaimRecord::New) => ExpectedHistory::New,
        (None, ClaimRecord::Nothing) => ExpectedHistory::Missing,
        (None, ClaimRecord::Known(claim)) => extend(claim, None),
        (Some(status), ClaimRecord::Known(claim)) if status.age() >= claim.age() => {
            if claim.may_lead_to(&status) { extend(status, None) } else { contradiction(status, claim) }
        }
        (Some(status), ClaimRecord::Known(claim)) => {
            if !status.may_lead_to(&claim) {
                return contradiction(status, claim);
            }
            // After a rollback, the older record is the one that was given up: only the newer one counts.
            let older = (status.rollbacks() == claim.rollbacks()).then_some(status);
            extend(claim, older)
        }
        (Some(status), ClaimRecord::NoClaim | ClaimRecord::Nothing | ClaimRecord::New) => {
            extend(status, None)
        }
    }
}

fn contradiction(status: Record, claim: Record) -> ExpectedHistory {
    ExpectedHistory::Contradiction { status: Box::new(status), claim: Box::new(claim) }
}

/// The anchor for the engine; `None` while two records contradict each other.
#[must_use]
pub fn given(expected: &ExpectedHistory) -> Option<GivenAnchor> {
    match expected {
        ExpectedHistory::New => Some(GivenAnchor::New),
        ExpectedHistory::Missing => Some(GivenAnchor::Missing),
        ExpectedHistory::Extend { newest, .. } => Some(newest.given()),
        ExpectedHistory::Contradiction { .. } => None,
    }
}
