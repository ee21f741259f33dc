//! The API types of `memoryengine.io` and the CustomResourceDefinitions generated from them.
//!
//! One kind per file. What the schema can say, it says: defaults, bounds, patterns and transition rules live
//! here and nowhere else, so that a bad manifest is refused by the API server before the operator ever sees it.

mod bounds;
mod definition;
mod embedding;
mod integrity;
mod limits;
mod mcp;
pub mod memory_engine;
mod patterns;
mod policy;
mod quantity;
mod retention;
mod rules;
mod saving;
mod scheduling;
mod security;
mod service;
mod status;

pub use definition::{memory_engine_crd, to_yaml_value};
pub use embedding::{Embedding, EmbeddingProvider};
pub use integrity::{
    ACCEPTED_ROLLBACKS_MAX, AcceptRollback, AcceptedRollback, Integrity, LogStatus, Rotation,
};
pub use limits::Limits;
pub use mcp::Mcp;
pub use memory_engine::{
    AccessMode, Exposure, ImagePullPolicy, LogLevel, Logging, MemoryEngine, MemoryEngineSpec,
    NetworkPolicyMode, PullSecret, ResourceList, Resources, Storage, Toleration, TolerationEffect,
    TolerationOperator, Writer,
};
pub use policy::{Identifiers, Policy, PolicyException};
pub use quantity::{Quantity, QuantityError};
pub use retention::Retention;
pub use saving::{SameText, Saving};
pub use scheduling::{
    Affinity, LabelOperator, LabelRequirement, LabelSelector, NodeAffinity, NodeInclusion, NodeOperator,
    NodeRequirement, NodeSelector, NodeSelectorTerm, PodAffinity, PodAffinityTerm, PreferredNode,
    PreferredPods, TopologySpread, WhenUnsatisfiable,
};
pub use security::{FsGroupChangePolicy, PodSecurity, SeLinux, SeLinuxType, Seccomp, SeccompType};
pub use service::ServiceMetadata;
pub use status::{Endpoints, MemoryEngineStatus, Phase, ProjectionRebuild, ProjectionStatus, StorageStatus};

/// API group of every kind in this crate.
pub const GROUP: &str = "memoryengine.io";
/// Version served and stored.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` as written in a manifest.
pub const API_VERSION: &str = "memoryengine.io/v1alpha1";
