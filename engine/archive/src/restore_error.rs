//! Why a restore, or one attempt of it, failed.

use std::path::PathBuf;

use engine_core::digest::Hash;
use jiff::Timestamp;
use thiserror::Error;

use crate::repository::BadObject;
use crate::store::StoreError;

/// Why nothing was restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    #[error("{0:?} is not empty: a log is restored only into an empty directory")]
    NotEmpty(PathBuf),
    #[error("the archive has {0} logs: say which one ({1})")]
    WhichLog(usize, String),
    #[error("the archive has no log {0}")]
    NoLog(String),
    #[error("the archive has no backup{0}")]
    NoBackup(String),
    #[error("the archive has no event {0}: its last one is {1}")]
    NoEvent(u64, u64),
    #[error("the archive has no event that was recorded at or before {0}")]
    NothingBy(Timestamp),
    #[error(
        "the archive does not lead to what was asked for: at least {size} events with the root {root}; it has {found}"
    )]
    BelowAnchor { size: u64, root: Hash, found: String },
    #[error(
        "the payload of event {seq} was forgotten after event {until}, and cannot come back: restore more, so that the \
         log has the event that says so"
    )]
    ForgottenLater { seq: u64, until: u64 },
    #[error("nothing that could be restored verifies: {}", listed(.0))]
    Damaged(Vec<BadObject>),
    #[error(
        "the log was restored to event {seq} before, and the archive has events up to {archived} that were recorded \
         since: the same request does not leave them behind. To restore everything, remove what names an earlier state \
         (--until, --backup). To go back again, restore without --once"
    )]
    Repeated { seq: u64, archived: u64 },
    #[error("the archive cannot be read, which is not known to be damage: {0}")]
    Unread(BadObject),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("cannot write {path:?}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("the restored log cannot be read or written: {0}")]
    Log(String),
}

/// The object, if it is known to be damaged.
///
/// # Errors
/// It cannot be read for another reason: trying again may help, and an older backup would be the wrong one.
pub(crate) fn proven(object: BadObject) -> Result<BadObject, RestoreError> {
    if object.is_damaged { Ok(object) } else { Err(RestoreError::Unread(object)) }
}

fn listed(objects: &[BadObject]) -> String {
    objects.iter().map(BadObject::to_string).collect::<Vec<_>>().join("; ")
}

/// Why one attempt failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Another backup may do.
    Object(BadObject),
    /// A payload is missing, and no event of what was read says why: a later one may.
    Unexplained(BadObject),
    /// Nothing else will do.
    Finally(RestoreError),
}

impl From<BadObject> for Failed {
    fn from(object: BadObject) -> Failed {
        proven(object).map_or_else(Failed::Finally, Failed::Object)
    }
}

impl From<RestoreError> for Failed {
    fn from(fault: RestoreError) -> Failed {
        Failed::Finally(fault)
    }
}
