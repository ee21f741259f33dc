//! `retrieval`: what searching may cost.

use super::key::Key;
use super::section::section;

section! {
    /// What searching may cost.
    "retrieval" => Retrieval {
        /// memory that searching may take: [what searching costs](retrieval.md#what-it-costs)
        "maxMemoryBytes" max_memory_bytes: u64, since "0.1.0"
            => Key::bytes(1 << 20, 1 << 40)
                .without("five eighths of the container's memory; of a quarter of the machine's without a limit")
                .field_note("follows `writer.resources.limits.memory`");
    }
}
