//! `memory_feedback`.

use engine_core::wire::{GiveFeedback, Saved};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::{Operations, Written};

pub(super) const TOOL: Tool = Tool {
    name: "memory_feedback",
    title: "Say how useful a memory was",
    description: "Records whether a memory helped: useful true or false, or a rating from -1 (harmful) to 1 (just what was needed), \
        with a note if there is something to say. It changes neither the memory nor whether it is true; count and mean are shown \
        where the memory is read. A memory that is wrong is ended with memory_invalidate instead.",
    effect: Effect::Adds,
    input: schema::writing::<GiveFeedback>,
    output: Output::Structured(schema::output::<Saved>),
    call,
};

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let (request, key) = arguments.write::<GiveFeedback>("/v1/feedback")?;
        let id = request.id.clone();
        let Written { answer, replayed, .. } = operations.feedback(request, key).await?;
        let how = if replayed { "Had been recorded before with this key" } else { "Recorded" };
        let text = format!("{how}: feedback on memory {id}, as {}:{}", answer.seq, &answer.hash[..12]);
        Answer::new(&answer, text)
    })
}
