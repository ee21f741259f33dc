//! The graph in the form in which the tools of the MCP server `memory` return it.

use engine_core::wire::{Entity, Relation};
use serde::Serialize;

use crate::mcp::tool::Answer;
use crate::refusal::{Refusal, internal};

/// A graph as these tools return it.
#[derive(Debug, Default, Serialize)]
pub(super) struct KnowledgeGraph {
    pub(super) entities: Vec<Entity>,
    pub(super) relations: Vec<Relation>,
}

/// Builds a result in the form of the MCP server `memory`: the text is indented JSON of a part of the structured
/// content.
pub(super) fn told(structured: &impl Serialize, part: &impl Serialize) -> Result<Answer, Refusal> {
    let text = serde_json::to_string_pretty(part).map_err(|fault| internal(&fault))?;
    Answer::new(structured, text)
}
