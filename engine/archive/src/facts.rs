//! What a backup says of the engine beside its log.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::archive::manifest::ProjectionDigest;

use crate::archive_error::ArchiveError;

/// How long a backup waits for the projection to reach its last event. Applying takes milliseconds; a projection that
/// is being rebuilt is not waited for, and its digest is left out.
const PROJECTION_WAIT: Duration = Duration::from_secs(1);
/// Time between two looks at the projection.
const LOOK: Duration = Duration::from_millis(20);

/// The digest of a projection, and the event at which it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectionAt {
    /// Number of the last event that the projection has.
    pub seq: u64,
    /// Digest of its rows.
    pub digest: ProjectionDigest,
}

/// An engine, as a backup describes it.
pub trait EngineFacts: Debug + Send + Sync {
    /// Version of the engine.
    fn version(&self) -> &str;
    /// The digest of the projection, if it can be read. It may block for a moment.
    fn projection(&self) -> Option<ProjectionAt>;
    /// The configuration for people, without any secret.
    fn configuration(&self) -> Option<String>;
}

/// An engine that does not run: neither its projection nor its configuration is known.
#[derive(Debug, Clone, Copy)]
pub struct StoppedEngine(
    /// Version of the program that reads its log.
    pub &'static str,
);

impl EngineFacts for StoppedEngine {
    fn version(&self) -> &str {
        self.0
    }

    fn projection(&self) -> Option<ProjectionAt> {
        None
    }

    fn configuration(&self) -> Option<String> {
        None
    }
}

/// The projection as it is now.
pub(crate) async fn projection_now(
    facts: &Arc<dyn EngineFacts>,
) -> Result<Option<ProjectionAt>, ArchiveError> {
    let facts = Arc::clone(facts);
    tokio::task::spawn_blocking(move || facts.projection()).await.map_err(|_| ArchiveError::Stopping)
}

/// The digest of the projection at exactly event `size`, if it stands there within [`PROJECTION_WAIT`].
pub(crate) async fn projection_at(
    facts: &Arc<dyn EngineFacts>,
    size: u64,
) -> Result<Option<ProjectionDigest>, ArchiveError> {
    let started = Instant::now();
    loop {
        match projection_now(facts).await? {
            Some(at) if at.seq == size => return Ok(Some(at.digest)),
            Some(at) if at.seq < size && started.elapsed() < PROJECTION_WAIT => {
                tokio::time::sleep(LOOK).await;
            }
            _ => return Ok(None),
        }
    }
}
