//! Backups: when one is asked for, which are recorded, and what verifications found.
//!
//! A Job asks for a backup in a ConfigMap, and the engine takes it. The operator records each backup that the engine
//! reports as a MemoryBackup, with the root of the log at that moment. A verification is a Job that restores the newest
//! backup; its pod ends with a verdict. A backup counts when a verdict has the number of events and the root of the
//! record, which is outside of the archive.

mod drill;
mod record;
mod requests;
mod view;

pub use drill::{Drill, drill};
pub use record::{RECORDS_MAX, RecordBackup, new_record, record_name, verdict_on};
pub use requests::{
    Answered, LAST_BACKUP_PREFIX, RESULT_ENTRY, acknowledge_backup, answered, is_unfinished, keep_relevant,
    last_backup, log_id, pending, take_backup, taken_request, to_take,
};
pub use view::{BackupView, phase, taken_at, verified_at};
