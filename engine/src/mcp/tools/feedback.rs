//! The tool `memory_feedback`: records how useful a memory was.

use engine_core::wire::{GiveFeedback, Saved};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::{Operations, Written};

pub(super) const TOOL: Tool = Tool {
    name: "memory_feedback",
    title: "Rate a memory",
    description: "Records whether a memory helped: useful true or false, or a rating from -1 (harmful) to 1 (exactly \
        what was needed), with an optional note. It changes neither the memory nor its validity; the number of ratings \
        and their mean are shown with the memory. To end a memory that is wrong, use memory_invalidate.",
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
        let how = if replayed { "Already recorded with this key" } else { "Recorded" };
        let text = format!("{how}: feedback on memory {id}, as {}:{}", answer.seq, &answer.hash[..12]);
        Answer::new(&answer, text)
    })
}
