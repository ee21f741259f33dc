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
pub mod fake;
mod limits;
mod rerank;
mod secret;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;

pub use backoff::wait_before;
pub use client::{Client, ClientError, Failure, Provider};
pub use embed::{Batch, embed};
pub use limits::{PARTS, Use};
pub use rerank::Reranker;

/// Numbers in a vector, at most: what is summed up of so many products of bytes fits.
pub const DIMENSION_MAX: usize = 4_096;

/// A service outside and what may be asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The whole address requests are sent to.
    pub url: Uri,
    /// Name of the model in requests.
    pub model: String,
    /// File with the key that is sent with every request.
    pub key_file: Option<PathBuf>,
    /// The longest a request may take.
    pub timeout: Duration,
    pub requests_per_minute: NonZeroU32,
    pub tokens_per_minute: Option<NonZeroU32>,
    /// Price of a million tokens, in millionths of whatever it is paid in.
    pub price_per_million: u64,
}

/// A service that makes vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingService {
    pub service: Service,
    /// Numbers in a vector, where the model lets one choose.
    pub dimension: Option<usize>,
    /// How long a search waits for the vector of what it looks for.
    pub query_timeout: Duration,
    /// Texts in one request.
    pub batch: usize,
}

/// A service that ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankService {
    pub service: Service,
    /// The best so many of a search are ranked by it.
    pub top: usize,
}
