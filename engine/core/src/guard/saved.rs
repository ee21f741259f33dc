//! What of the guard survives a restart. Holds are kept as the time that is left, because a monotonic clock begins anew
//! with each process, and as the end on the wall clock, which is an upper bound: the time that is left is written at
//! intervals only, so that each crash would otherwise make a hold longer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::automatic::{Automatic, Cause};
use super::hold::Hold;
use super::now::Now;
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
    /// When probes begin, on the wall clock. Absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The time that is left of a hold at a start. The end on the wall clock is an upper bound, and a hold whose end has
/// passed is over. If more time is left until that end than was left when the file was written, the wall clock was set
/// back and says nothing.
fn left_at_start(left_ms: i64, until: Option<Timestamp>, now: Now) -> i64 {
    let by_wall = until.map(|until| i64::try_from(until.duration_since(now.wall).as_millis()).unwrap_or(0));
    by_wall.map_or(left_ms, |by_wall| by_wall.min(left_ms))
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
        let longest_ms = i64::try_from(super::HOLD_SECONDS_MAX).unwrap_or(0) * 1_000;
        let left_ms = left_at_start(self.left_ms, Some(self.hold.until), now).min(longest_ms);
        let until_ms = now.ms.saturating_add(left_ms);
        // The end stays the same, whatever is lost of a millisecond, unless the clock was set back.
        let until = now.wall_at(until_ms.saturating_add(1)).min(self.hold.until);
        (left_ms > 0).then(|| Hold { until_ms, until, ..self.hold.of_file() })
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
            forced: forced.map(|(cause, attempt, left_ms)| {
                let until = Some(now.wall_at(now.ms.saturating_add(left_ms)));
                SavedForced { cause, since, attempt, left_ms, until }
            }),
            direct: self.direct.as_ref().map(|hold| SavedHold::new(hold, now)),
            declared: self.declared.as_ref().map(|hold| SavedHold::new(hold, now)),
        }
    }

    /// The state after a restart.
    #[must_use]
    pub fn resume(saved: Saved, now: Now, settings: &GuardSettings) -> Guard {
        let Saved { wanted, wanted_since, in_effect, forced, direct, declared } = saved;
        let mut guard = Guard { wanted_since, ..Guard::new(wanted, now) };
        if let Some(SavedForced { cause, since, attempt, left_ms, until }) = forced {
            // Likewise, a damaged file must not keep reads off longer than the longest hold.
            let left_ms = left_at_start(left_ms, until, now)
                .clamp(0, settings.hold_max_ms.max(settings.hold_ms).saturating_mul(2));
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
