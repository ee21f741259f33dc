//! Shared handles that every part of the log works with.

use std::sync::Arc;

use crate::clock::Clock;
use crate::metrics::LogMetrics;
use crate::published::Published;
use crate::rotation::Rotation;
use crate::storage::Storage;
use crate::tail::Tail;
use crate::tree::Tree;

/// Where the log is stored, what is known of it, and when it is rotated. Clones share everything.
#[derive(Debug, Clone)]
pub struct LogContext {
    /// The data directory.
    pub storage: Arc<dyn Storage>,
    /// State that readers see.
    pub published: Published,
    /// Merkle tree over all events.
    pub tree: Arc<Tree>,
    /// The newest lines, in memory.
    pub tail: Arc<Tail>,
    /// Counters of the log.
    pub metrics: Arc<LogMetrics>,
    /// Time and random bytes.
    pub clock: Clock,
    /// When a segment is sealed.
    pub rotation: Rotation,
}

impl LogContext {
    /// The context of a log that is not open yet.
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
