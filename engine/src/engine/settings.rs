//! The settings an engine starts with, and the errors that prevent a start.

use std::sync::Arc;
use std::time::Duration;

use engine_core::guard::GuardSettings;
use engine_core::policy::Policy;
use engine_core::rollout::questions::Bounds;
use engine_core::wire::GivenAnchor;
use engine_log::{OpenError, Rotation};
use engine_retrieval::BadModel;
use engine_retrieval::providers::{ClientError, RerankService};
use thiserror::Error;

use crate::certificates::Certificates;
use crate::config::{ConfigurationState, Embedding, LiveSettings};
use crate::following::{FollowSettings, FollowSetupError};
use crate::modes::InitialMode;

/// The settings an engine starts with.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// When the log starts a new segment.
    pub(crate) rotation: Rotation,
    /// Interval between two full verifications of log and projection. Without a value, the log is never verified in the
    /// background; commands that run once use this.
    pub(crate) verify_interval: Option<Duration>,
    /// Anchor against which the log is verified before the first write.
    pub(crate) anchor: Option<GivenAnchor>,
    /// The engine to follow; none on an engine that owns its log.
    pub(crate) follow: Option<FollowSettings>,
    /// The policy, which is applied to everything that is written.
    pub(crate) policy: Arc<Policy>,
    /// The embedding model.
    pub(crate) embedding: Embedding,
    /// Memory budget for search, bytes; by default a share of the memory that the process may use.
    pub(crate) search_bytes_max: Option<u64>,
    /// External service that reranks the best results of a search.
    pub(crate) rerank: Option<RerankService>,
    /// How many questions of clients are kept for rehearsals; none if nothing is kept.
    pub(crate) questions: Option<Bounds>,
    /// The parameters of the guard.
    pub(crate) guard: GuardSettings,
    /// The mode that is wanted on a volume that has none.
    pub(crate) initial_mode: InitialMode,
    /// Settings that can change while the engine runs.
    pub(crate) live: LiveSettings,
    /// State of the configuration, for the health report.
    pub(crate) configuration: Arc<ConfigurationState>,
    /// The certificates of the ports, for the health report.
    pub(crate) certificates: Arc<Certificates>,
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
    #[error("the data directory cannot be read: {0}")]
    Volume(#[from] std::io::Error),
    #[error(
        "the data directory has a copy of the log of another engine: start with --follow, or use another directory"
    )]
    IsCopy,
    #[error(
        "the data directory has a log of its own, which is not a copy: an engine with --follow needs an empty one"
    )]
    IsNoCopy,
    #[error("the engine that is to be followed cannot be reached in this way: {0}")]
    Follow(#[from] FollowSetupError),
}
