//! The archive of a log in an object store. docs/ARCHIVE-FORMAT.md specifies its bytes.
//!
//! - Stores: [`settings`] says where an archive is; [`store`] is the small part of an object store that is used, with
//!   bounds; [`repository`] is the two stores of an archive and what is in them.
//! - Archiving: [`ship`] stores pieces of a log from [`place`] to place, [`takeover`] decides where a writer continues,
//!   [`forget`] removes the keys of forgotten payloads, [`backup`] stores manifests, with the [`facts`] of an engine.
//!   [`task`] does all of that beside a running engine and reports to [`status`] and [`metrics`]. [`archive_error`] is
//!   why a step failed.
//! - Restoring: [`marker`] is the file that says from what a log was restored, [`plan`] chooses the pieces, [`restore`]
//!   verifies the log that [`staging`] puts together and reports
//!   its [`progress`]; [`gaps`] are payloads that nothing accounts for, [`restore_error`] is why nothing was restored.

mod archive_error;
mod backup;
mod facts;
#[cfg(test)]
mod faults;
mod forget;
mod gaps;
pub mod marker;
mod metrics;
mod place;
mod plan;
mod progress;
mod repository;
mod restore;
mod restore_error;
mod settings;
mod ship;
mod staging;
mod status;
mod store;
mod takeover;
mod task;

pub use archive_error::ArchiveError;
pub use facts::{EngineFacts, ProjectionAt, StoppedEngine};
pub use metrics::ArchiveMetrics;
pub use plan::{Until, Wanted};
pub use progress::Progress;
pub use repository::{LogSummary, Repository};
pub use restore::{Restored, first_backup, restore};
pub use restore_error::RestoreError;
pub use settings::{ArchiveSettings, SettingsError, open};
pub use ship::Archive;
pub use status::ArchiveStatus;
pub use store::{Store, StoreError};
pub use task::{ArchiveHandle, start};

#[cfg(test)]
mod tests;
