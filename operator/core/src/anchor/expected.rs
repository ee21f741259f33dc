//! The history that the log of an engine must extend. It is computed once per reconcile from the status and the claim.

use engine_core::wire::GivenAnchor;

use super::record::{ClaimRecord, Record, claim_record};
use crate::{observed::Observed, storage};

/// The history that the log must extend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedHistory {
    /// The log must extend nothing: the volume is new.
    New,
    /// It is unknown what the log must extend: the volume was kept, and no record describes its content.
    Missing,
    /// The log must extend these records.
    Extend {
        /// The newest record.
        newest: Box<Record>,
        /// The record in the status, if the claim has a newer record of the same history. The log must extend both
        /// records.
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
    /// The newest record that the log must extend; `None` if there is no such record or the records contradict each
    /// other.
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

/// Computes the history that the log of an engine must extend. Call it before the writes of a reconcile: the query, the
/// plan and the status of the same reconcile use this value.
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
            // The claim records more accepted rollbacks than the status: the log was rolled back since, so it need not
            // extend the record in the status.
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

/// The anchor in the form that the engine receives; `None` while the two records contradict each other.
#[must_use]
pub fn given(expected: &ExpectedHistory) -> Option<GivenAnchor> {
    match expected {
        ExpectedHistory::New => Some(GivenAnchor::New),
        ExpectedHistory::Missing => Some(GivenAnchor::Missing),
        ExpectedHistory::Extend { newest, .. } => Some(newest.given()),
        ExpectedHistory::Contradiction { .. } => None,
    }
}
