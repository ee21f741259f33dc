//! The tool `memory_save`: saves one memory.

use std::fmt::Write as _;

use engine_core::wire::{SaveMemory, Saved};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::{Operations, Written};

pub(super) const TOOL: Tool = Tool {
    name: "memory_save",
    title: "Save a memory",
    description: "Saves one fact, decision, preference or observation permanently. It is on disk when this tool \
        answers. Write the content so that it can be understood without this conversation. Give the project it belongs \
        to, and the time it happened if that is not now. Search first: a fact that is already known needs no second \
        copy. If a fact has changed, save the new one and end the old memory with memory_invalidate.",
    effect: Effect::Adds,
    input: schema::writing::<SaveMemory>,
    output: Output::Structured(schema::output::<Saved>),
    call,
};

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let (request, key) = arguments.write::<SaveMemory>("/v1/memories")?;
        let Written { answer, replayed, wrote } = operations.save(request, key).await?;
        let how = match (replayed, wrote) {
            (true, _) => "Already saved with this key",
            (false, true) => "Saved",
            (false, false) => "Not saved a second time: the same text is already known",
        };
        let mut text = format!("{how}: memory {}, citation {}:{}", answer.id, answer.seq, &answer.hash[..12]);
        if let Some(known) = answer.known_as.as_ref().filter(|known| **known != answer.id) {
            let _infallible = write!(text, "; the same text is already known as memory {known}");
        }
        Answer::new(&answer, text)
    })
}
