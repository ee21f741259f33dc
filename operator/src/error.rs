//! Errors of a reconcile. If the API server refuses an object permanently, this is not an error but a condition in the
//! status.

use std::time::Duration;

/// Why a reconcile did not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The namespace is being deleted: it accepts no new objects, and everything in it will be deleted.
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
    /// A stable label value for metrics.
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
    /// The client's error.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// No response within the timeout.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Timeout of one call to the API server.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// One call to the API server with a timeout.
///
/// # Errors
/// The client's error, or the timeout.
pub(crate) async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(CallError::TimedOut(CALL_TIMEOUT)),
    }
}

impl CallError {
    /// The status in the API server's response; `None` if there was no such response.
    pub(crate) fn api(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status),
            Self::Kube(_) | Self::TimedOut(_) => None,
        }
    }
}
