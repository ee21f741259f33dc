//! `shutdown`: how the engine stops.

use super::key::Key;
use super::section::section;

section! {
    /// How the engine stops.
    "shutdown" => Shutdown {
        /// how long running requests may take to finish when the engine stops
        "drainSeconds" drain_seconds: u64, or 20, since "0.1.0"
            => Key::integer(1, 300).field("spec.writer.drainSeconds");
    }
}
