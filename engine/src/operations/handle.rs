//! The handle through which every protocol reaches an engine.

use std::sync::Arc;

use engine_core::wire::Health;
use engine_log::Receipt;

use crate::engine::Engine;
use crate::refusal::{Refusal, log_corrupt};

/// Sequence numbers as SQLite and JSON have them.
pub(crate) const SEQ_MAX: u64 = i64::MAX.unsigned_abs();

/// The operations of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    pub(super) engine: Arc<Engine>,
}

/// What a write answers, and whether it had been done before under the same idempotency key.
#[derive(Debug)]
pub(crate) struct Written<T> {
    pub(crate) answer: T,
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

    /// The engine's report on itself.
    pub(crate) fn health(&self) -> Health {
        self.engine.health()
    }

    /// Reads the projection on everything up to `min_seq`, or else on everything that was durable when the request
    /// came: who has the answer to a write reads what was written.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        operation: &'static str,
        min_seq: Option<u64>,
        read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        // What verifies is read; of a log of which nothing does, nothing is.
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
