//! The archive of a log in an object store. docs/ARCHIVE-FORMAT.md specifies its bytes.
//!
//! - Stores: [`settings`] says where an archive is; [`store`] is the small part of an object store that is used, with
//!   bounds; [`store_error`] is why a call failed, [`leftovers`] are files that are no objects; [`repository`] is the
//!   two stores of an archive and what is in them.
//! - Archiving: [`ship`] stores pieces of a log from [`place`] to place, [`takeover`] decides where a writer continues,
//!   [`backup`] stores manifests, with the [`facts`] of an engine. [`task`] does all of that beside a running engine
//!   and reports to [`status`] and [`metrics`]. [`archive_error`] is why a step failed.
//! - Forgetting: [`forgotten`] is what a log has forgotten, [`forget`] removes the keys of that, and
//!   [`forget_check`](mod@forget_check) looks for keys that are left.
//! - Removing: [`retention`] is which backups stay, and [`prune`](mod@prune) removes the others and what only they
//!   need, while nobody has a [`pin`].
//! - Restoring: [`marker`] is the file that says from what a log was restored, [`plan`] chooses the pieces, [`restore`]
//!   verifies the log that [`staging`] puts together and reports
//!   its [`progress`]; [`gaps`] are payloads that nothing accounts for, [`restore_error`] is why nothing was restored.
//! - Following: [`continued`] reads the lines that a copy lacks, again and again.

mod archive_error;
mod backup;
mod continued;
mod facts;
#[cfg(test)]
mod faults;
mod forget;
mod forget_check;
mod forgotten;
mod gaps;
mod leftovers;
pub mod marker;
mod metrics;
mod pin;
mod place;
mod plan;
mod progress;
mod prune;
mod repository;
mod restore;
mod restore_error;
mod retention;
mod settings;
mod ship;
mod staging;
mod status;
mod store;
mod store_error;
mod takeover;
mod task;

pub use archive_error::ArchiveError;
pub use continued::{ArchiveReader, Continued, ReadError};
pub use facts::{EngineFacts, ProjectionAt, StoppedEngine};
pub use forget_check::{ForgetCheck, LeftKey, forget_check};
pub use metrics::ArchiveMetrics;
pub use plan::{Until, Wanted};
pub use progress::Progress;
pub use prune::PruneError;
pub use repository::{BadObject, LogSummary, Repository};
pub use restore::{Restored, first_backup, restore};
pub use restore_error::RestoreError;
pub use retention::{Retention, prune};
pub use settings::{ArchiveSettings, SettingsError, open};
pub use ship::Archive;
pub use status::ArchiveStatus;
pub use store::{Store, with_jitter};
pub use store_error::StoreError;
pub use task::{ArchiveHandle, start};

#[cfg(test)]
mod tests;
