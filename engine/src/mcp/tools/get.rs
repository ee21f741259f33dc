//! `memory_get`.

use std::fmt::Write as _;

use engine_core::wire::MemoryView;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Tool};
use crate::operations::Operations;

pub(super) const TOOL: Tool = Tool {
    name: "memory_get",
    title: "Read a memory",
    description: "Reads one memory in full by its id: content, tags, who said it, when it happened and since when it is true. \
        Ids come from memory_search and memory_save. A memory that is no longer true is refused with the time it was true; \
        memory_as_of reads it as it was then.",
    effect: Effect::Reads,
    input: schema::input::<GetArguments>,
    output: schema::output::<MemoryView>,
    call,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The memory's id, 32 hex digits.
    #[schemars(regex(pattern = engine_core::wire::patterns::ID_PATTERN))]
    id: String,
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let GetArguments { id } = arguments.read()?;
        let moment = operations.moment(None, None);
        let view = operations.read(id, moment, None).await?;
        Answer::new(&view, memory_text(&view))
    })
}

/// A memory in full, for a model.
pub(super) fn memory_text(view: &MemoryView) -> String {
    let mut text = String::new();
    if !view.title.is_empty() {
        let _infallible = writeln!(text, "# {}", view.title);
    }
    let (hash, validity) = (&view.hash[..12], &view.validity);
    let _infallible = write!(
        text,
        "{}\n\n[{}:{hash}] memory {}, {} in project {}, by {}, happened {}, true from {}",
        view.content, view.seq, view.id, view.kind, view.project, view.actor, view.occurred_at, validity.from
    );
    if let Some(until) = validity.until {
        let _infallible = write!(text, " until {until}");
    }
    if !view.tags.is_empty() {
        let _infallible = write!(text, ", tags {}", view.tags.join(", "));
    }
    text
}
