//! The steps of the ladder.

use serde::{Deserialize, Serialize};

/// A step of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// The state is missing, or cannot be.
    Unknown,
    /// Everything runs the stable revision.
    Stable,
    /// The canary follows the log without reads.
    DarkLaunch,
    /// The canary is asked what the stable revision has answered.
    Shadow,
    /// The canary answers a share of the sessions. The number counts these steps from 0.
    Canary(u8),
    /// The pods take the new revision one after the other.
    Promoting,
    /// Everything runs the new revision and is watched.
    Soaking,
    /// The new revision failed, and everything runs the stable one.
    RolledBack,
}

impl Step {
    /// Whether a revision is judged.
    #[must_use]
    pub const fn is_trial(self) -> bool {
        match self {
            Self::DarkLaunch | Self::Shadow | Self::Canary(_) | Self::Promoting | Self::Soaking => true,
            Self::Unknown | Self::Stable | Self::RolledBack => false,
        }
    }
}
