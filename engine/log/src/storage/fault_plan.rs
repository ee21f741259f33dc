//! Which call of a simulated file system fails, and how.

use std::io;

use super::FailPoint;

/// Kinds of calls that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Open,
    Create,
    Write,
    Truncate,
    Sync,
    Rename,
    Remove,
    SyncDirectory,
}

/// How much of a failed call takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// None of it.
    Lost,
    /// Half of it.
    Half,
    /// All of it, although the caller gets an error.
    Kept,
}

/// The failure to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Call number `nth` from now, counted from 0, of the calls that change something fails as `failure` says. If
    /// `step` is given, only calls of that kind count.
    Fail { step: Option<Step>, nth: u64, failure: Failure, kind: io::ErrorKind },
    /// The power fails during call number `nth` from now, counted from 0, of the calls that change something. `failure`
    /// says how much of the call takes effect.
    Cut { nth: u64, failure: Failure },
    /// The power fails when the code passes this point.
    CutAt(FailPoint),
    /// The fail point returns an error when the code passes it.
    FailAt(FailPoint),
}
