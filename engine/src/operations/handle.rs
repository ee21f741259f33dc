//! The handle through which the code of every protocol calls an engine.

use std::sync::Arc;

use engine_core::wire::Health;
use engine_log::Receipt;

use crate::access::Session;
use crate::engine::Engine;
use crate::modes::DependencyCall;
use crate::refusal::{Refusal, log_corrupt};
use crate::spans;
use tracing::Instrument;

/// Largest sequence number: SQLite and JSON clients use signed 64-bit integers for it.
pub(crate) const SEQ_MAX: u64 = i64::MAX.unsigned_abs();

/// The operations of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    pub(super) engine: Arc<Engine>,
    /// Who calls them.
    pub(super) session: Session,
}

/// Result of a write: the response, and whether the write changed anything.
#[derive(Debug)]
pub(crate) struct Written<T> {
    /// The answer for the client.
    pub(crate) answer: T,
    /// Whether an earlier request with the same idempotency key did this write.
    pub(crate) replayed: bool,
    /// Whether this request or the earlier one with the same key wrote anything.
    pub(crate) wrote: bool,
}

impl<T> Written<T> {
    pub(crate) fn new(receipt: &Receipt, answer: T) -> Written<T> {
        Written { answer, replayed: receipt.replayed, wrote: true }
    }
}

impl Operations {
    /// The operations for a caller.
    pub(crate) fn new(engine: Arc<Engine>, session: Session) -> Operations {
        Operations { engine, session }
    }

    /// The health report.
    pub(crate) fn health(&self) -> Health {
        self.engine.health()
    }

    /// Number of results of a search that names no limit.
    pub(crate) fn search_limit(&self) -> u32 {
        self.engine.live().search_limit
    }

    /// Runs a read of the projection after the projection has applied event `min_seq`. Without `min_seq`, waits for all
    /// events that were durable when the request arrived, so that a client reads its own earlier writes.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        operation: &'static str,
        min_seq: Option<u64>,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        // Events that verify can be read even if later events do not. If no event verifies, nothing can be read.
        let published = &self.engine.published;
        if published.fault().is_some() && published.head().is_none() {
            return Err(log_corrupt());
        }
        let metrics = &self.engine.metrics;
        metrics.queries.with_label_values(&[operation]).inc();
        let _timer = metrics.query_seconds.start(operation);
        let wanted = min_seq.unwrap_or_else(|| published.head_seq());
        let call = DependencyCall::of_projection(&self.engine.modes);
        let running = call.clone();
        let answer = self.engine.projection.read(wanted, move |connection| {
            running.begin();
            read(connection)
        });
        let answer = answer.instrument(spans::of_query(operation)).await;
        call.end(&answer);
        Ok(answer?)
    }
}
