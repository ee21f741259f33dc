//! `retention`: default rules for retention plans.

use super::key::Key;
use super::section::section;
use crate::limits::{RETENTION_AGE_DAYS_MAX, RETENTION_ENTRIES_MAX, SPIKE_GUARD_PERCENT_DEFAULT};

section! {
    /// Default rules for retention plans. Nothing is removed automatically.
    "retention" => Retention {
        /// default rule of plans, by age: [retention](retention.md)
        "maxAgeDays" max_age_days: u32, since "0.1.0"
            => Key::integer(1, RETENTION_AGE_DAYS_MAX as u64).field("spec.retention.maxAgeDays").live();
        /// default rule of plans, by number of memories
        "maxEntriesPerProject" max_entries_per_project: u64, since "0.1.0"
            => Key::integer(1, RETENTION_ENTRIES_MAX).field("spec.retention.maxEntriesPerProject").live();
        /// share of a project that a run may remove without confirmation of the number
        "spikeGuardPercent" spike_guard_percent: u8, or SPIKE_GUARD_PERCENT_DEFAULT, since "0.1.0"
            => Key::integer(1, 100).field("spec.retention.spikeGuardPercent").live();
    }
}
