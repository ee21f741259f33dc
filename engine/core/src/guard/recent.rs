//! The recent calls of one dependency.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::settings::GuardSettings;

/// Most running calls that are known. More cannot run, because each dependency has a limit below this.
pub const RUNNING_MAX: usize = 64;

/// How the recent calls of a dependency ended, and which are running.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// Failures since the last correct answer. No interval resets them.
    pub consecutive_failures: u32,
    /// Requests in a row that were refused as invalid, since the last correct answer.
    #[serde(default)]
    pub consecutive_refusals: u32,
    /// The last calls that were answered or given up, oldest first.
    pub ended: VecDeque<Ended>,
    /// Calls that are running, oldest first.
    pub running: VecDeque<Running>,
}

/// A call that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When it ended, monotonic milliseconds.
    pub at_ms: i64,
    /// How long it took, milliseconds.
    pub took_ms: i64,
}

/// A call that is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its number.
    pub call: u64,
    /// When it began, monotonic milliseconds.
    pub started_ms: i64,
}

impl Recent {
    pub(super) fn start(&mut self, call: u64, now_ms: i64) {
        if self.running.len() < RUNNING_MAX {
            self.running.push_back(Running { call, started_ms: now_ms });
        }
    }

    pub(super) fn end(&mut self, call: u64, outcome: Outcome, now_ms: i64, settings: &GuardSettings) {
        let place = self.running.iter().position(|running| running.call == call);
        let started_ms = place.and_then(|place| self.running.remove(place)).map(|running| running.started_ms);
        match outcome {
            Outcome::Answered => (self.consecutive_failures, self.consecutive_refusals) = (0, 0),
            Outcome::Refused => self.consecutive_refusals = self.consecutive_refusals.saturating_add(1),
            outcome if outcome.is_failure() => {
                self.consecutive_failures = self.consecutive_failures.saturating_add(1);
            }
            _ => {}
        }
        let Some(started_ms) = started_ms else { return };
        let took_ms = now_ms.saturating_sub(started_ms);
        // A failure has a trigger of its own, and how soon it came says nothing about the speed of answers. Neither
        // does a call that was given up early, because its client went away.
        if outcome == Outcome::Answered || outcome == Outcome::GivenUp && took_ms > settings.slow_ms {
            self.ended.push_back(Ended { at_ms: now_ms, took_ms });
            while self.ended.len() > settings.slow_window {
                self.ended.pop_front();
            }
        }
    }

    /// Whether more than half of the recent calls were slow, which means that their median is above the threshold. A
    /// call that is still running counts as soon as it has taken too long.
    pub(super) fn is_slow(&self, now_ms: i64, settings: &GuardSettings) -> bool {
        let slow = |took_ms: i64| took_ms > settings.slow_ms;
        let running =
            self.running.iter().filter(|running| slow(now_ms.saturating_sub(running.started_ms))).count();
        let newest = self.ended.iter().rev().take(settings.slow_window.saturating_sub(running));
        let ended: Vec<&Ended> =
            newest.filter(|ended| now_ms.saturating_sub(ended.at_ms) <= settings.slow_age_max_ms).collect();
        let slow_count = running + ended.iter().filter(|ended| slow(ended.took_ms)).count();
        let count = running + ended.len();
        count >= settings.slow_samples_min && slow_count * 2 > count
    }

    /// Forgets the calls that ended. Running calls begin to count anew, so that calls which hung before do not decide
    /// at once again.
    pub(super) fn forget(&mut self) {
        (self.consecutive_failures, self.consecutive_refusals) = (0, 0);
        self.ended.clear();
        self.running.clear();
    }
}
