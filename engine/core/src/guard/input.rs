//! The inputs of the guard, and what has to be done after a step.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::automatic::Automatic;
use super::hold::Hold;
use super::now::ProbePurpose;
use super::outcome::{Dependency, Outcome};
use crate::mode::Mode;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "input")]
pub enum Input {
    /// A call of a dependency began.
    Started {
        /// The dependency.
        dependency: Dependency,
        /// Number of the call, unique in this process.
        call: u64,
    },
    /// A call of a dependency ended.
    Ended {
        /// The dependency.
        dependency: Dependency,
        /// Number of the call.
        call: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// A probe ended.
    ProbeEnded {
        /// Number of the probe.
        number: u64,
        /// Whether every dependency answered correctly within the budget.
        passed: bool,
    },
    /// Time passed.
    Tick,
    /// Another mode is wanted.
    Want {
        /// The mode.
        mode: Mode,
        /// The person who says so; absent if the resource does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<Person>,
    },
    /// The process started with another state than the last one in the log.
    Resumed {
        /// Why they differ.
        difference: Difference,
        /// The state that it started with.
        start: Box<Start>,
    },
    /// A person set a hold at this engine.
    Force {
        /// The hold.
        hold: Hold,
    },
    /// The resource declares this hold, or none.
    Declare {
        /// The hold.
        hold: Option<Hold>,
    },
    /// A person ends the hold at this engine and the guard's own.
    Clear,
    /// A person resets the counters of failures.
    Reset,
}

/// The state that a process starts with: everything of the guard but calls and probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The wanted mode.
    pub wanted: Mode,
    /// Since when.
    pub wanted_since: Timestamp,
    /// The guard's own decision.
    pub automatic: Automatic,
    /// Since when.
    pub automatic_since: Timestamp,
    /// The hold that a person set at this engine.
    pub direct: Option<Hold>,
    /// The hold that the resource declares.
    pub declared: Option<Hold>,
}

/// Who wants a mode, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Why the state at a start differs from the last one in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// A hold ended while the engine was stopped.
    HoldEnded,
    /// There is no file with the mode, although there was one.
    FileRemoved,
    /// The file has another mode. It was changed outside of the engine, or the engine ended after it had written the
    /// file and before it had recorded the change.
    FileChanged,
    /// The file cannot be read.
    FileUnreadable,
    /// The file could not be read at the start, and can be now.
    FileReadAgain,
}

impl Difference {
    /// The words for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Difference::HoldEnded => "a hold ended while the engine was stopped",
            Difference::FileRemoved => "mode/mode.json was removed outside of the engine",
            Difference::FileChanged => {
                "mode/mode.json differs from the log: it was changed outside of the engine, or the engine ended before \
                 it recorded its last change"
            }
            Difference::FileUnreadable => "mode/mode.json cannot be read",
            Difference::FileReadAgain => "mode/mode.json can be read again",
        }
    }
}

/// What has to be done after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Run a probe, and report its end.
    Probe {
        /// Number of the probe.
        number: u64,
        /// Why it runs.
        purpose: ProbePurpose,
    },
}
