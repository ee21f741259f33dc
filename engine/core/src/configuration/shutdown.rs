//! `shutdown`: how the engine stops.

use super::key::Key;
use super::section::section;

/// Longest delay. Slow load balancers need about a minute to notice.
const DELAY_SECONDS_MAX: u64 = 120;

section! {
    /// How the engine stops.
    "shutdown" => Shutdown {
        /// how long running requests may take to finish when the engine stops
        "drainSeconds" drain_seconds: u64, or 20, since "0.1.0"
            => Key::integer(1, 300).field("spec.writer.drainSeconds");
        /// how long the API serves on after SIGTERM, while `/readyz` answers 503, so that Services and load balancers
        /// stop sending requests; a second signal ends the wait
        "delaySeconds" delay_seconds: u64, or 2, since "0.1.0"
            => Key::integer(0, DELAY_SECONDS_MAX).field("spec.writer.stopDelaySeconds");
    }
}
