//! The handle through which every protocol calls an engine.

use std::sync::Arc;

use engine_core::wire::Health;
use engine_log::Receipt;

use crate::engine::Engine;
use crate::refusal::{Refusal, log_corrupt};

/// Largest sequence number: SQLite and JSON clients use signed 64-bit integers.
pub(crate) const SEQ_MAX: u64 = i64::MAX.unsigned_abs();

/// The operations of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    pub(super) engine: Arc<Engine>,
}

/// Result of a write: its answer, and how it came about.
#[derive(Debug)]
pub(crate) struct Written<T> {
    /// The answer for the client.
    pub(crate) answer: T,
    /// Whether the write was done before under the same idempotency key.
    pub(crate) replayed: bool,
    /// Whether anything was written, now or before.
    pub(crate) wrote: bool,
}

impl<T> Written<T> {
    pub(crate) fn new(receipt: &Receipt, answer: T) -> Written<T> {
        Written { answer, replayed: receipt.replayed, wrote: true }
    }
}

impl Operations {
    pub(crate) fn new(engine: Arc<Engine>) -> Operations {
        Operations { engine }
    }

    /// The health report.
    pub(crate) fn health(&self) -> Health {
        self.engine.health()
    }

    /// Reads the projection once it has applied event `min_seq`, or by default everything that was durable when the
    /// request came: after the answer to a write, a client reads what it wrote.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        operation: &'static str,
        min_seq: Option<u64>,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        // Events that verify can be read. If none does, nothing can.
        let published = &self.engine.published;
        if published.fault().is_some() && published.head().is_none() {
            return Err(log_corrupt());
        }
        let metrics = &self.engine.metrics;
        metrics.queries.with_label_values(&[operation]).inc();
        let _timer = metrics.query_seconds.with_label_values(&[operation]).start_timer();
        let wanted = min_seq.unwrap_or_else(|| published.head_seq());
        Ok(self.engine.projection.read(wanted, read).await?)
    }
}
