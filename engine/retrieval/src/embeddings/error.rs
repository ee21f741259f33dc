//! Why no vectors are made.

use engine_projection::Unreadable;
use thiserror::Error;

use crate::providers::Failure;

/// Why the embedding of memories is stopped at the moment.
#[derive(Debug, Error)]
pub(super) enum EmbeddingError {
    #[error("the projection cannot be read: {0}")]
    Projection(#[from] Unreadable),
    #[error("the vector file: {0}")]
    WriteState(#[from] rusqlite::Error),
    #[error("removing the vector file: {0}")]
    Remove(#[from] std::io::Error),
    #[error("the model: {0}")]
    Model(#[from] Failure),
    #[error("less than a twentieth of the volume and less than 1 GiB is free, or the log accepts no writes")]
    NoRoom,
    #[error("stopping")]
    Stopping,
}
