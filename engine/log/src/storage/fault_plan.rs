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
    /// The n-th next call that changes something (of this kind, if given) fails this way.
    Fail { step: Option<Step>, nth: u64, failure: Failure, kind: io::ErrorKind },
    /// The power goes at the n-th next call that changes something, which takes effect this far.
    Cut { nth: u64, failure: Failure },
    /// The power goes when the code passes this point.
    CutAt(FailPoint),
    /// The code fails when it passes this point.
    FailAt(FailPoint),
}
