//! What can go wrong in a reconcile. One variant per step; what the API server refuses for good is no error but a
//! condition.

use std::time::Duration;

/// A reconcile that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The namespace is being deleted: nothing new is taken in it, and everything in it goes.
    #[error("the namespace is being deleted")]
    NamespaceEnding,
    /// Writing the status failed.
    #[error("writing the status: {0}")]
    Status(CallError),
    /// Another operator may be leading.
    #[error("not leading: nothing may be written")]
    NotLeading,
}

impl Error {
    /// A stable word for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::NamespaceEnding => "namespace_ending",
            Self::Status(_) => "status",
            Self::NotLeading => "not_leading",
        }
    }
}

/// A call to the API server that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The client's word for it.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Longest wait for one answer of the API server.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One call to the API server, bounded.
///
/// # Errors
/// What the client reports, or that the time was up.
pub(crate) async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::TimedOut(CALL_TIMEOUT)),
    }
}

impl CallError {
    /// The API server's status, when it answered with one.
    pub(crate) fn api(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status),
            Self::Kube(_) | Self::TimedOut(_) => None,
        }
    }
}
