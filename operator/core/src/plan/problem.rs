//! Why a write does not succeed.

use crate::names::ChildKey;

/// Why a plan was not carried out completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The API server refuses the object permanently.
    Refused {
        /// The object.
        key: ChildKey,
        /// The API server's message.
        why: String,
    },
    /// Someone reverts the object each time the operator repairs it.
    Contested {
        /// The object.
        key: ChildKey,
        /// The field that differs.
        field: String,
    },
    /// The write failed, and retrying may help.
    Failed {
        /// The object.
        key: ChildKey,
        /// Description of the failure.
        why: String,
    },
}

impl Problem {
    /// The object with the problem.
    #[must_use]
    pub fn key(&self) -> &ChildKey {
        match self {
            Self::Refused { key, .. } | Self::Contested { key, .. } | Self::Failed { key, .. } => key,
        }
    }

    /// A stable label value for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Contested { .. } => "contested",
            Self::Failed { .. } => "apply",
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { key, why } => write!(f, "the API server refuses {key}: {why}"),
            Self::Contested { key, field } => write!(
                f,
                "{key} is changed repeatedly by someone else, last in {field}: find the field manager with \
                 `kubectl get -o yaml --show-managed-fields`"
            ),
            Self::Failed { key, why } => write!(f, "{key} could not be written: {why}. The operator retries"),
        }
    }
}
