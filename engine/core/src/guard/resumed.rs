//! Compares the state that a process starts with and the last one in the log. Nobody records a change of the file that
//! is made outside of the engine, so that it is recorded at the next start.

use jiff::{SignedDuration, Timestamp};

use super::automatic::Automatic;
use super::hold::Hold;
use super::input::Difference;
use super::now::Now;
use super::record::Record;
use super::{Guard, InEffect};
use crate::mode::Mode;

/// Two ends of a hold that differ by less are the same. An end is computed anew if the wall clock was set back.
const SAME_END: SignedDuration = SignedDuration::from_secs(60);

/// The file with the mode, as it was found at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeFileState {
    /// There is none.
    Missing,
    /// It cannot be read.
    Unreadable,
    /// It was read.
    Read,
}

/// How the state that was found at a start differs from the last one in the log. Returns the last one too, as it would
/// be now. Without a record nobody has narrowed the mode, and nothing is known about the wanted one but `initial`, for
/// a file that cannot be read.
#[must_use]
pub fn difference(
    last: Option<&Record>,
    found: &Guard,
    file: ModeFileState,
    initial: Mode,
    now: Now,
) -> Option<(Guard, Difference)> {
    let wanted = if file == ModeFileState::Unreadable { initial } else { found.wanted };
    let before = last.map_or_else(|| Guard::new(wanted, now), |last| last.again().moved(last.now, now));
    let mut unexpired = before.clone();
    unexpired.expire(now);
    if is_same(&unexpired, found) {
        return (unexpired != before).then_some((before, Difference::HoldEnded));
    }
    let difference = match file {
        ModeFileState::Missing => Difference::FileRemoved,
        ModeFileState::Unreadable => Difference::FileUnreadable,
        ModeFileState::Read => Difference::FileChanged,
    };
    Some((before, difference))
}

fn is_same(one: &Guard, other: &Guard) -> bool {
    let cause = |guard: &Guard| guard.automatic.cause().filter(|_| !guard.automatic.allowed().reads());
    let holds = [(&one.direct, &other.direct), (&one.declared, &other.declared)];
    one.wanted == other.wanted
        && one.automatic.allowed() == other.automatic.allowed()
        && cause(one) == cause(other)
        && holds.into_iter().all(|(one, other)| is_same_hold(one.as_ref(), other.as_ref()))
}

fn is_same_hold(one: Option<&Hold>, other: Option<&Hold>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            // The policy may have changed the texts of one of them since.
            let are_texts_same = (&one.reason, &one.by) == (&other.reason, &other.by);
            (one.mode, one.since) == (other.mode, other.since)
                && (are_texts_same || one.redacted || other.redacted)
                && one.until.duration_since(other.until).abs() < SAME_END
        }
        _ => false,
    }
}

impl Guard {
    /// This state at another time of another process, whose monotonic clock began at another moment. Only the wall
    /// clock connects the two.
    fn moved(&self, from: Now, to: Now) -> Guard {
        let at = |wall: Timestamp| {
            let left = i64::try_from(wall.duration_since(to.wall).as_millis()).unwrap_or(0);
            to.ms.saturating_add(left)
        };
        let hold = |hold: &Option<Hold>| hold.clone().map(|hold| Hold { until_ms: at(hold.until), ..hold });
        let automatic = match self.automatic {
            Automatic::Forced { cause, attempt, until_ms } => {
                Automatic::Forced { cause, attempt, until_ms: at(from.wall_at(until_ms)) }
            }
            Automatic::Probing { cause, attempt, .. } => {
                Automatic::Probing { cause, attempt, passed: 0, next_ms: to.ms }
            }
            automatic => automatic,
        };
        let mut guard = Guard {
            wanted_since: self.wanted_since,
            automatic,
            automatic_since: self.automatic_since,
            direct: hold(&self.direct),
            declared: hold(&self.declared),
            ..Guard::new(self.wanted, to)
        };
        let mode = guard.effective(to.ms);
        guard.in_effect = InEffect { mode, since: self.in_effect.since };
        guard
    }
}
