//! What can be wrong with an entry of a Secret. No text contains a value, its length or its hash.

use crate::conditions::Reason;

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// There is no such Secret.
    #[error("there is no Secret {0:?} in this namespace: create it")]
    Missing(String),
    /// The Secret has no such entry.
    #[error("the Secret {0:?} has no key {1:?}: add it, or name another one")]
    KeyMissing(String, String),
    /// The entry is empty.
    #[error("the value is empty: write one")]
    Empty,
    /// The value is not one line of visible ASCII.
    #[error("the value is not one line of visible ASCII without spaces: write it again without them")]
    Malformed,
    /// The value is not a key of an engine, for this reason.
    #[error("{0}: make another one with `memory-engine token generate`")]
    NoKey(&'static str),
    /// The entry has the hash of the token, with which the operator cannot use the administration port.
    #[error("the value is the hash of a token, and the operator needs the token itself: write that")]
    HashOfToken,
    /// The value is too short.
    #[error("the value has fewer than 32 characters: make another one with `memory-engine token generate`")]
    TooShort,
    /// The value is one that everybody tries first.
    #[error(
        "the value consists of words that everybody tries first: make another one with `memory-engine token generate`"
    )]
    WellKnown,
    /// The value is regular.
    #[error(
        "the value repeats itself, counts, or has few different characters: make another one with `memory-engine token generate`"
    )]
    Guessable,
    /// The administrator's token is the key of somebody else.
    #[error("the value is the one of {0} too: the token of the administration port must be no other key")]
    Administrator(String),
    /// Another reference has the same value.
    #[error("the value is the one of {0} too: every key must be used in one place only")]
    Shared(String),
    /// The spec says that it has expired.
    #[error(
        "it expired on {0}, and is refused since then: write a new value and a later time, or remove the key"
    )]
    Expired(String),
    /// The value is older than the spec allows.
    #[error("the value is {age_days} days old, and should be replaced after {max_days}: write a new one")]
    TooOld {
        /// Age of the value.
        age_days: i64,
        /// The limit of the spec.
        max_days: i32,
    },
}

impl SecretFault {
    /// The reason in the condition and in the status.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing(_) => Reason::SecretMissing,
            Self::KeyMissing(..) => Reason::SecretKeyMissing,
            Self::Empty => Reason::SecretEmpty,
            Self::Malformed | Self::NoKey(_) | Self::HashOfToken => Reason::SecretMalformed,
            Self::TooShort => Reason::SecretTooShort,
            Self::WellKnown => Reason::SecretWellKnown,
            Self::Guessable => Reason::SecretGuessable,
            Self::Administrator(_) => Reason::AdminTokenShared,
            Self::Shared(_) => Reason::SecretShared,
            Self::Expired(_) => Reason::SecretExpired,
            Self::TooOld { .. } => Reason::SecretTooOld,
        }
    }

    /// Whether nothing is rolled out that needs this entry. A key that is old or has expired prevents no start.
    #[must_use]
    pub fn holds_changes(&self) -> bool {
        !matches!(self, Self::Expired(_) | Self::TooOld { .. })
    }
}
