//! What clients may ask of an engine, whatever protocol they speak: HTTP, MCP and the adapters for other products call
//! the same functions, so that none of them has a rule of its own.

mod checkout;
mod documents;
mod entries;
mod events;
mod forget;
mod fresh;
mod graph;
mod items;
mod log;
mod memories;
mod memory_tool;
mod named;
mod outside;
mod retention;
mod saving;
mod search;
mod weights;

use std::sync::Arc;

use engine_core::wire::Health;
use serde::Serialize;

pub(crate) use log::{not_open, texts};

pub(crate) use events::EventFilter;
use events::view;
pub(crate) use items::NamedItem;
pub(crate) use named::SentKey;

use crate::engine::Engine;
use crate::refusal::{Refusal, internal, log_corrupt};
use engine_log::Receipt;

/// Sequence numbers as SQLite and JSON have them.
pub(crate) const SEQ_MAX: u64 = i64::MAX.unsigned_abs();

/// The operations of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Operations {
    engine: Arc<Engine>,
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

/// Ties an idempotency key to a request. `path` is the one under `/v1` whatever protocol the request came by, so that
/// one key is one write. The request is taken as it was understood, written in one way: spaces and the order of fields
/// make no other request.
pub(crate) fn bind<T: Serialize>(key: String, path: &str, request: &T) -> Result<SentKey, Refusal> {
    let mut bound = [path.as_bytes(), b"\n"].concat();
    serde_json::to_writer(&mut bound, request).map_err(|fault| internal(&fault))?;
    Ok(SentKey::new(key, bound))
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
    async fn query<T: Send + 'static>(
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
