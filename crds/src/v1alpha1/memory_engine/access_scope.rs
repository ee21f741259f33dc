//! What a client may do, and in how many projects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum number of projects that one key, token or certificate names.
pub const ACCESS_PROJECTS_MAX: usize = 64;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AccessScope {
    /// Read and search.
    Read,
    /// Save, change and forget.
    Write,
    /// Requests about the whole engine.
    Admin,
}
