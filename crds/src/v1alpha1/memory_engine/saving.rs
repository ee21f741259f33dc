//! What the engine does with a text that it has already.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How memories are saved, for whoever saves one without saying it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Saving {
    /// What is done when a memory of the project, which is true now, has the same text already: `Say` saves it and names the
    /// earlier one in the answer; `SaveOnce` writes nothing, and the answer is the earlier one. Left out, the engine's default,
    /// `Say`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_text: Option<SameText>,
}

/// What is done with a text that is known already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SameText {
    /// It is saved, and the answer says so.
    Say,
    /// Nothing is written.
    SaveOnce,
}
