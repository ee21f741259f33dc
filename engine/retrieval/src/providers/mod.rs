//! Client for external models: embedding services and rerankers. It is used only if the configuration names such a
//! service.
//!
//! [`client`] sends requests with bounds on time and size; [`limits`] is the rate limit, [`breaker`] the circuit
//! breaker, [`backoff`] the retry delay; [`observer`] tells the guard how requests end; [`secret`] is the API key,
//! [`failure`] why a request failed. [`mod@embed`] and [`rerank`] are the two request formats. No error contains a text
//! or a key.

mod backoff;
mod breaker;
mod client;
mod embed;
mod failure;
#[cfg(test)]
pub mod fake;
mod limits;
mod observer;
mod rerank;
mod secret;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use service::secret_file::Exposed;

pub use backoff::wait_before;
pub use client::{
    Client, ClientError, HttpClient, Provider, ProviderReport, http_client, http_client_presenting,
    http_client_trusting,
};
pub use embed::{Batch, embed};
pub use failure::Failure;
pub use limits::Purpose;
pub(crate) use observer::PROBE_TEXT;
pub use observer::{CallObserver, Unobserved};
pub use rerank::Reranker;

/// An external service and the limits on its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The complete URL of requests.
    pub url: Uri,
    /// Name of the model in requests.
    pub model: String,
    /// File with the API key that every request carries.
    pub key_file: Option<PathBuf>,
    /// What is done with that file if somebody else can read or change it.
    pub exposed_key: Exposed,
    /// Timeout of a request.
    pub timeout: Duration,
    pub requests_per_minute: NonZeroU32,
    /// Token limit; without a value there is no limit.
    pub tokens_per_minute: Option<NonZeroU32>,
    /// Price of a million tokens, in millionths of the currency unit.
    pub price_per_million: u64,
}

/// An embedding service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingService {
    pub service: Service,
    /// Dimension that the client requests, for models with a selectable dimension.
    pub dimension: Option<usize>,
    /// How long a search waits for the vector of its query.
    pub query_timeout: Duration,
    /// Maximum number of texts in one batch.
    pub batch: usize,
}

/// A reranker service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankService {
    pub service: Service,
    /// How many of the best results of a search the service ranks.
    pub top: usize,
}
