//! What an engine is started with, and why it does not start.

use std::sync::Arc;
use std::time::Duration;

use engine_core::policy::Policy;
use engine_core::wire::{GivenAnchor, NotApplied, SameText};
use engine_log::{OpenError, Rotation};
use engine_retrieval::BadModel;
use engine_retrieval::providers::{ClientError, RerankService};
use thiserror::Error;

use crate::config::{Embedding, Retention};

/// What an engine is started with.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// When the log goes on in a new file.
    pub(crate) rotation: Rotation,
    /// How often everything is read back and verified; the log never when absent, for commands that end by themselves.
    pub(crate) verify_interval: Option<Duration>,
    /// What the log is held against before the first write.
    pub(crate) anchor: Option<GivenAnchor>,
    /// What may be written.
    pub(crate) policy: Arc<Policy>,
    /// Rules for plans that name none.
    pub(crate) retention: Retention,
    /// What makes vectors of texts.
    pub(crate) embedding: Embedding,
    /// Memory that searching may take, bytes; a share of what the process may use when absent.
    pub(crate) search_bytes_max: Option<u64>,
    /// What ranks the best of a search again.
    pub(crate) rerank: Option<RerankService>,
    /// What is done with a text that a project has already, for whoever does not say.
    pub(crate) same_text: SameText,
    /// Parts of the configuration that this version does not know.
    pub(crate) not_applied: Vec<NotApplied>,
}

/// Why an engine does not start.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the configured service cannot be used: {0}")]
    Service(#[from] ClientError),
    #[error("the configured model cannot be used: {0}")]
    Model(#[from] BadModel),
}
