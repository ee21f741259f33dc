//! How the engine handles a text that it has already stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Defaults for saving memories, used when a request does not set them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Saving {
    /// What to do when a current memory of the same project has the same text: `Say` saves the new memory and names the
    /// earlier one in the answer; `SaveOnce` writes nothing and returns the earlier one. Defaults to `Say`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_text: Option<SameText>,
}

/// What to do with a text that is already stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SameText {
    /// Save the memory, and name the earlier one in the answer.
    #[serde(rename = "Say")]
    SaveAndReport,
    /// Write nothing, and return the earlier memory.
    SaveOnce,
}
