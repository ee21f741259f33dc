//! What of the guard survives a restart. Holds are kept as the time that is left, because a monotonic clock begins anew
//! with each process, and the wall clock may have been changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::automatic::{Automatic, Cause};
use super::hold::Hold;
use super::input::Now;
use super::settings::GuardSettings;
use super::{Guard, InEffect};
use crate::mode::Mode;

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The wanted mode.
    pub wanted: Mode,
    /// Since when.
    pub wanted_since: Timestamp,
    /// The mode in effect, and since when.
    pub in_effect: InEffect,
    /// The hold of the guard itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<SavedForced>,
    /// The hold that a person set at this engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<SavedHold>,
    /// The hold that the resource declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<SavedHold>,
}

/// The hold of the guard itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedForced {
    /// Why.
    pub cause: Cause,
    /// Since when reads are off.
    pub since: Timestamp,
    /// How often probes have failed.
    pub attempt: u32,
    /// Time left until probes begin, milliseconds.
    pub left_ms: i64,
}

/// A hold of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHold {
    /// The hold.
    #[serde(flatten)]
    pub hold: Hold,
    /// Time left, milliseconds.
    pub left_ms: i64,
}

impl SavedHold {
    fn new(hold: &Hold, now: Now) -> SavedHold {
        SavedHold { hold: hold.clone(), left_ms: hold.until_ms.saturating_sub(now.ms) }
    }

    fn resumed(self, now: Now) -> Option<Hold> {
        // A damaged file must not make a hold longer than a person can.
        let left_ms = self.left_ms.min(i64::try_from(super::HOLD_SECONDS_MAX).unwrap_or(0) * 1_000);
        let until_ms = now.ms.saturating_add(left_ms);
        (left_ms > 0).then(|| Hold { until_ms, until: now.wall_at(until_ms), ..self.hold })
    }
}

impl Guard {
    /// What has to be kept for the next start.
    #[must_use]
    pub fn saved(&self, now: Now) -> Saved {
        let forced = match self.automatic {
            Automatic::Base | Automatic::Suspected { .. } => None,
            Automatic::Forced { cause, attempt, until_ms } => {
                Some((cause, attempt, until_ms.saturating_sub(now.ms).max(0)))
            }
            // Probes begin anew.
            Automatic::Probing { cause, attempt, .. } => Some((cause, attempt, 0)),
        };
        let since = self.automatic_since;
        Saved {
            wanted: self.wanted,
            wanted_since: self.wanted_since,
            in_effect: self.in_effect,
            forced: forced.map(|(cause, attempt, left_ms)| SavedForced { cause, since, attempt, left_ms }),
            direct: self.direct.as_ref().map(|hold| SavedHold::new(hold, now)),
            declared: self.declared.as_ref().map(|hold| SavedHold::new(hold, now)),
        }
    }

    /// The state after a restart.
    #[must_use]
    pub fn resume(saved: Saved, now: Now, settings: &GuardSettings) -> Guard {
        let Saved { wanted, wanted_since, in_effect, forced, direct, declared } = saved;
        let mut guard = Guard { wanted_since, ..Guard::new(wanted, now) };
        if let Some(SavedForced { cause, since, attempt, left_ms }) = forced {
            // Likewise, a damaged file must not keep reads off longer than the longest hold.
            let left_ms = left_ms.clamp(0, settings.hold_max_ms.max(settings.hold_ms).saturating_mul(2));
            let until_ms = now.ms.saturating_add(left_ms);
            guard.automatic = Automatic::Forced { cause, attempt, until_ms };
            guard.automatic_since = since;
        }
        guard.direct = direct.and_then(|hold| hold.resumed(now));
        guard.declared = declared.and_then(|hold| hold.resumed(now));
        let mode = guard.effective(now.ms);
        guard.in_effect = if in_effect.mode == mode { in_effect } else { InEffect { mode, since: now.wall } };
        guard
    }
}
