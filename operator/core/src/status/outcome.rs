//! The result of a reconcile.

use crate::{
    plan::{Done, Plan},
    validate::{Essentials, Fault, Valid},
};

/// Result of a reconcile after its writes.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// The spec cannot be carried out.
    Invalid {
        /// The faults in the spec.
        faults: &'a [Fault],
        /// The parts of the spec that are used even if it is invalid.
        essentials: &'a Essentials,
    },
    /// The plan was carried out, up to the first problem.
    Applied {
        /// The checked spec.
        valid: &'a Valid,
        /// The plan.
        plan: &'a Plan,
        /// The result of the plan.
        done: &'a Done,
    },
}

impl Outcome<'_> {
    /// The parts of the spec that are used whether it is valid or not.
    #[must_use]
    pub fn essentials(&self) -> &Essentials {
        match self {
            Self::Invalid { essentials, .. } => essentials,
            Self::Applied { valid, .. } => &valid.essentials,
        }
    }
}
