//! Shared handles that every part of the log works with.

use std::sync::Arc;

use crate::clock::Clock;
use crate::metrics::LogMetrics;
use crate::published::Published;
use crate::rotation::Rotation;
use crate::storage::Storage;
use crate::tail::Tail;
use crate::tree::Tree;

/// Storage, shared state and settings of the log. Clones share everything.
#[derive(Debug, Clone)]
pub struct LogContext {
    /// The data directory.
    pub storage: Arc<dyn Storage>,
    /// State visible to readers.
    pub published: Published,
    /// Merkle tree over all events.
    pub tree: Arc<Tree>,
    /// The newest lines, cached in memory.
    pub tail: Arc<Tail>,
    /// Metrics of the log.
    pub metrics: Arc<LogMetrics>,
    /// Source of time and random bytes.
    pub clock: Clock,
    /// When a segment is sealed.
    pub rotation: Rotation,
}

impl LogContext {
    /// Creates the context of a log that is not open yet.
    #[must_use]
    pub fn new(
        storage: Arc<dyn Storage>,
        metrics: Arc<LogMetrics>,
        clock: Clock,
        rotation: Rotation,
    ) -> LogContext {
        let (published, tree, tail) = (Published::new(), Arc::new(Tree::new()), Arc::new(Tail::default()));
        LogContext { storage, published, tree, tail, metrics, clock, rotation }
    }
}
