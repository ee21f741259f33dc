//! The tool `memory_invalidate`: ends the validity of a memory.

use engine_core::wire::patterns::ID_PATTERN;
use engine_core::wire::{InvalidateMemory, Saved};
use rmcp::model::JsonObject;
use serde_json::json;

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::{Operations, Written};

pub(super) const TOOL: Tool = Tool {
    name: "memory_invalidate",
    title: "End a memory's validity",
    description: "Records that a memory is no longer true, from now or from another time on. The memory is not \
        deleted: searches as of now no longer find it, memory_as_of still does, and the reason stays on record. If \
        something else is true instead, save that first and pass its id as superseded_by. The end can later be moved \
        to an earlier time, but not to a later one.",
    effect: Effect::Ends,
    input,
    output: Output::Structured(schema::output::<Saved>),
    call,
};

fn input() -> JsonObject {
    let id = json!({
        "type": "string", "pattern": ID_PATTERN, "description": "Id of the memory that is no longer true, 32 hex digits.",
    });
    schema::with_property(schema::writing::<InvalidateMemory>(), "id", id, true)
}

fn call(operations: Operations, mut arguments: Arguments) -> Answering {
    Box::pin(async move {
        let id: String = arguments.required("id")?;
        let (request, key) = arguments.write::<InvalidateMemory>(&format!("/v1/memories/{id}/invalidate"))?;
        let Written { answer, replayed, .. } = operations.invalidate(id.clone(), request, key).await?;
        let how = if replayed { "Already ended with this key" } else { "Ended" };
        let text = format!("{how}: memory {id}, recorded as {}:{}", answer.seq, &answer.hash[..12]);
        Answer::new(&answer, text)
    })
}
