//! `integrity`: how often the log is verified.

use super::key::Key;
use super::section::section;

/// Thirty days.
const INTERVAL_SECONDS_MAX: u64 = 2_592_000;

section! {
    /// How often the log is verified.
    "integrity" => Integrity {
        /// time between two complete verifications
        "verifyIntervalSeconds" verify_interval_seconds: u64, or 86_400, since "0.1.0"
            => Key::integer(60, INTERVAL_SECONDS_MAX).field("spec.integrity.verifyIntervalSeconds");
    }
}
