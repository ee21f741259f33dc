//! Which engine is followed, and how.

use std::path::PathBuf;
use std::time::Duration;

use engine_archive::Repository;
use hyper::Uri;

/// Default age of the state that reads see from which on a following engine is not ready, seconds.
pub(crate) const LAG_MAX_SECONDS_DEFAULT: u64 = 30;

/// Which engine is followed, and how.
#[derive(Debug, Clone)]
pub(crate) struct FollowSettings {
    /// URL of its admin port.
    pub(crate) admin: Uri,
    /// URL of its API, to which writes are forwarded; none if they are refused.
    pub(crate) api: Option<Uri>,
    /// Directory with a certificate that its admin port accepts, and the authorities that its ports are verified with.
    pub(crate) tls_directory: Option<PathBuf>,
    /// File with the token that its admin port demands.
    pub(crate) token_file: Option<PathBuf>,
    /// Age of the state that reads see from which on this engine is not ready.
    pub(crate) lag_max: Duration,
    /// The archive from which the lines come, on a standby; none on an engine that asks the other one for lines.
    pub(crate) archive: Option<FollowedArchive>,
}

/// The archive that a standby follows.
#[derive(Debug, Clone)]
pub(crate) struct FollowedArchive {
    /// Its stores.
    pub(crate) repository: Repository,
    /// Time between two steps of the engine that writes it.
    pub(crate) interval: Duration,
}
