//! Services outside that an engine asks when its configuration says so: models that make vectors, and models that rank.
//!
//! [`client`] sends one request and bounds everything about it; [`breaker`] leaves a service alone that does not work,
//! [`limits`] asks no more often than is allowed, [`backoff`] says when to ask again; [`secret`] is the key; [`embed`]
//! and [`rerank`] are the two forms of request. None of their errors holds a text or a key.

mod backoff;
mod breaker;
mod client;
mod embed;
#[cfg(test)]
pub(crate) mod fake;
mod limits;
mod rerank;
mod secret;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;

pub(crate) use backoff::wait_before;
pub(crate) use client::{Client, ClientError, Failure, Provider};
pub(crate) use embed::{Batch, embed};
pub(crate) use limits::Use;
pub(crate) use rerank::Reranker;

/// A service outside and what may be asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// The whole address requests are sent to.
    pub(crate) url: Uri,
    /// Name of the model in requests.
    pub(crate) model: String,
    /// File with the key that is sent with every request.
    pub(crate) key_file: Option<PathBuf>,
    /// The longest a request may take.
    pub(crate) timeout: Duration,
    pub(crate) requests_per_minute: NonZeroU32,
    pub(crate) tokens_per_minute: Option<NonZeroU32>,
    /// Price of a million tokens, in millionths of whatever it is paid in.
    pub(crate) price_per_million: u64,
}

/// A service that makes vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmbeddingService {
    pub(crate) service: Service,
    /// Numbers in a vector, where the model lets one choose.
    pub(crate) dimension: Option<usize>,
    /// How long a search waits for the vector of what it looks for.
    pub(crate) query_timeout: Duration,
    /// Texts in one request.
    pub(crate) batch: usize,
}

/// A service that ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RerankService {
    pub(crate) service: Service,
    /// The best so many of a search are ranked by it.
    pub(crate) top: usize,
}
