//! Handles shared by the threads of one log.

use std::sync::Arc;

use crate::attestation::Attestation;
use crate::context::LogContext;
use crate::erasures::Erasures;
use crate::scrubs::Scrubs;

/// The context of a log, and the state that both its writer and its keeper change. Clones share everything.
#[derive(Debug, Clone)]
pub struct LogHandles {
    /// Storage, published state, tree, clock.
    pub context: LogContext,
    /// Signing keys, checkpoints and the anchor.
    pub attestation: Arc<Attestation>,
    /// Progress of erasures.
    pub erasures: Arc<Erasures>,
    /// Requests for a complete verification.
    pub scrubs: Arc<Scrubs>,
}

impl LogHandles {
    /// Creates the handles of a log that is not open yet.
    #[must_use]
    pub fn new(context: LogContext) -> LogHandles {
        LogHandles {
            context,
            attestation: Arc::new(Attestation::default()),
            erasures: Arc::new(Erasures::new()),
            scrubs: Arc::new(Scrubs::default()),
        }
    }
}
