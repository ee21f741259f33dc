//! The API types of `memoryengine.io` and the CustomResourceDefinitions generated from them.
//!
//! Each kind has a file below `v1alpha1`, with its CEL rules beside it. `patterns` and `bounds` hold shared patterns
//! and schemas, `quantity` the type for Kubernetes quantities, `rules` the code that adds CEL rules to a schema,
//! `definition` the code that builds the CRD.
//!
//! Defaults, bounds, patterns and transition rules that the schema can express are defined only here. The API server
//! rejects an invalid manifest before the operator sees it.

mod bounds;
mod definition;
mod patterns;
mod quantity;
mod rules;
mod v1alpha1;

pub use definition::to_yaml_value;
pub use quantity::{Quantity, QuantityError};
pub use v1alpha1::memory_engine::{self, *};
pub use v1alpha1::{BackupPhase, MemoryBackup, MemoryBackupSpec, MemoryBackupStatus, memory_backup_crd};

/// API group of every kind in this crate.
pub const GROUP: &str = "memoryengine.io";
/// Version served and stored.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` in a manifest.
pub const API_VERSION: &str = "memoryengine.io/v1alpha1";
