//! The graph as the tools of that server show it.

use engine_core::wire::{Entity, Relation};
use serde::Serialize;

use crate::mcp::tool::Answer;
use crate::refusal::{Refusal, internal};

/// A graph as that server answers it.
#[derive(Debug, Default, Serialize)]
pub(super) struct KnowledgeGraph {
    pub(super) entities: Vec<Entity>,
    pub(super) relations: Vec<Relation>,
}

/// The answer as that server gives it: its text is JSON of a part of it, spread over lines.
pub(super) fn told(structured: &impl Serialize, part: &impl Serialize) -> Result<Answer, Refusal> {
    let text = serde_json::to_string_pretty(part).map_err(|fault| internal(&fault))?;
    Answer::new(structured, text)
}
