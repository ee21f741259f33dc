//! The dependencies of reads, and how a call of one can end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that a read needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dependency {
    /// The projection on the volume.
    Projection,
    /// The external embedding service.
    Embedding,
    /// The external reranker.
    Rerank,
}

impl Dependency {
    /// Every dependency.
    pub const ALL: [Dependency; 3] = [Dependency::Projection, Dependency::Embedding, Dependency::Rerank];
    /// Their words, as in metrics.
    pub const WORDS: &'static [&'static str] = &["projection", "embedding", "rerank"];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Dependency::Projection => "projection",
            Dependency::Embedding => "embedding",
            Dependency::Rerank => "rerank",
        }
    }
}

/// How a call of a dependency ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Correctly.
    Answered,
    /// The dependency refused the engine's credentials (401 or 403).
    AuthenticationFailed,
    /// The dependency failed.
    Failed(Fault),
    /// The call was given up because its request needed too much. It counts as slow, not as failed: a client decides
    /// what a request needs.
    GivenUp,
    /// The dependency refused the request as invalid (400, 413, 422). One request may be odd; if every request is
    /// refused, the configuration of the dependency is wrong, which a probe finds out.
    Refused,
    /// The dependency was not called. Nothing follows about it.
    Unjudged,
}

/// How a dependency failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No connection: refused, or no route.
    Unreachable,
    /// The connection ended before the answer.
    Reset,
    /// The TLS handshake failed.
    Tls,
    /// No answer in time.
    Timeout,
    /// An error status of the server.
    ServerError,
    /// Another status that is not an answer.
    Rejected,
    /// Too many requests; the dependency demands not to be called for so many milliseconds.
    RateLimited(i64),
    /// The circuit breaker is open after repeated failures.
    BreakerOpen,
    /// An answer that cannot be used.
    Malformed,
    /// Reading the database failed.
    Storage,
}

impl Fault {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Fault::Unreachable => "unreachable",
            Fault::Reset => "connection reset",
            Fault::Tls => "TLS failure",
            Fault::Timeout => "timeout",
            Fault::ServerError => "server error",
            Fault::Rejected => "unexpected status",
            Fault::RateLimited(_) => "rate limited",
            Fault::BreakerOpen => "circuit breaker open",
            Fault::Malformed => "malformed answer",
            Fault::Storage => "read error",
        }
    }
}

impl Outcome {
    /// The longest time that a dependency may demand not to be called, milliseconds. A longer demand is cut: probes
    /// find out when the dependency answers again.
    const RETRY_AFTER_MS_MAX: i64 = 3_600_000;

    pub(super) const fn is_failure(self) -> bool {
        matches!(self, Outcome::AuthenticationFailed | Outcome::Failed(_))
    }

    pub(super) fn retry_after_ms(self) -> Option<i64> {
        match self {
            Outcome::Failed(Fault::RateLimited(ms)) => Some(ms.clamp(0, Outcome::RETRY_AFTER_MS_MAX)),
            _ => None,
        }
    }
}
