//! The archive of a log in an object store. docs/ARCHIVE-FORMAT.md specifies its bytes.
//!
//! - Stores: [`settings`] says where an archive is; [`store`] is the small part of an object store that is used, with
//!   bounds; [`repository`] is the two stores of an archive and what is in them.
//! - Archiving: [`ship`] stores pieces of a log, [`takeover`] decides where a writer continues, [`forget`] removes
//!   the keys of forgotten payloads, [`backup`] stores manifests. [`task`] does all of that beside a running engine and
//!   reports to [`status`] and [`metrics`].
//! - Restoring: [`plan`] chooses the pieces, [`restore`] writes them to a
//!   [`staging`] directory and verifies the log; [`gaps`] are payloads that nothing accounts for.

mod backup;
mod forget;
mod gaps;
mod metrics;
mod plan;
mod repository;
mod restore;
mod settings;
mod ship;
mod staging;
mod status;
mod store;
mod takeover;
mod task;

pub use backup::BackupTaken;
pub use metrics::ArchiveMetrics;
pub use plan::Wanted;
pub use repository::{LogSummary, Repository};
pub use restore::{Progress, RestoreError, Restored, restore};
pub use settings::{ArchiveSettings, SettingsError, open};
pub use ship::{Archive, ArchiveError};
pub use status::{ArchiveState, ArchiveStatus};
pub use store::{Store, StoreError};
pub use task::{ArchiveHandle, start};
