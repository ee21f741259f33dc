//! Version `v1alpha1`: one kind per file.

mod memory_backup;
pub mod memory_engine;

pub use memory_backup::{BackupPhase, MemoryBackup, MemoryBackupSpec, MemoryBackupStatus, memory_backup_crd};
