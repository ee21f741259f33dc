//! Why a request to a provider failed.

use std::time::Duration;

use thiserror::Error;

/// Why a request failed. It contains neither a text nor the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Failure {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("no connection")]
    Unreachable,
    #[error("the connection was refused")]
    ConnectionRefused,
    #[error("the connection ended before the answer")]
    ConnectionReset,
    #[error("the TLS handshake failed")]
    Tls,
    #[error("answered with status {0}")]
    Status(u16),
    #[error("rate limited by the service; no requests for {0:?}")]
    RateLimited(Duration),
    #[error("the service demanded a pause; no requests for {0:?}")]
    Paused(Duration),
    #[error("{0} requests are waiting for the service already")]
    Saturated(usize),
    #[error("the configured rate limit is reached; no requests for {0:?}")]
    Throttled(Duration),
    #[error("the circuit breaker is open after repeated failures; no requests for {0:?}")]
    BreakerOpen(Duration),
    #[error("answered with more than {0} bytes")]
    TooLarge(usize),
    #[error("invalid answer: {0}")]
    Malformed(&'static str),
}

impl Failure {
    /// The label of this failure in metrics. With a prefix, it is also the reason in `degraded`.
    pub fn label(self) -> &'static str {
        match self {
            Failure::Timeout(_) => "timeout",
            Failure::Unreachable => "unreachable",
            Failure::ConnectionRefused => "connection_refused",
            Failure::ConnectionReset => "connection_reset",
            Failure::Tls => "tls_failed",
            Failure::Status(500..) => "server_error",
            Failure::Status(_) => "refused",
            Failure::RateLimited(_) | Failure::Paused(_) => "rate_limited",
            Failure::Saturated(_) => "saturated",
            Failure::Throttled(_) => "throttled",
            Failure::BreakerOpen(_) => "breaker_open",
            Failure::TooLarge(_) => "too_large",
            Failure::Malformed(_) => "malformed",
        }
    }

    /// How long no other request should be sent, if known.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Failure::RateLimited(wait)
            | Failure::Paused(wait)
            | Failure::Throttled(wait)
            | Failure::BreakerOpen(wait) => Some(wait),
            _ => None,
        }
    }

    /// Whether the service refused these texts but may accept others.
    pub fn is_about_the_texts(self) -> bool {
        matches!(self, Failure::Status(400 | 413 | 422))
    }

    /// Whether the failure counts for the circuit breaker.
    pub(super) fn is_the_services(self) -> bool {
        let unsent = matches!(self, Failure::Saturated(_)) || self.wait().is_some();
        !unsent && !self.is_about_the_texts()
    }
}
