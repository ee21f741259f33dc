//! `retrieval`: resources that searches may use.

use super::key::Key;
use super::section::section;
use crate::limits::{SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN};

section! {
    /// Resources that searches may use.
    "retrieval" => Retrieval {
        /// memory that searches may use: [what searching costs](retrieval.md#what-it-costs)
        "maxMemoryBytes" max_memory_bytes: u64, since "0.1.0"
            => Key::bytes(1 << 20, 1 << 40)
                .absent("five eighths of the container's memory limit, or of a quarter of the machine's memory without a limit")
                .field_note("follows `writer.resources.limits.memory`");
        /// number of results of a search that names no `limit`
        "searchLimit" search_limit: u32, or SEARCH_LIMIT_DEFAULT, since "0.1.0"
            => Key::integer(SEARCH_LIMIT_MIN as u64, SEARCH_LIMIT_MAX as u64).live();
    }
}
