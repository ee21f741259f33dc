//! The tool `memory_forget`: removes memories permanently.

use std::fmt::Write as _;

use engine_core::limits::{FORGET_IDS_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX};
use engine_core::wire::patterns::{ID_PATTERN, NAME_PATTERN};
use engine_core::wire::{ForgetAnswer, ForgetMemories, PlaceState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::{Operations, Written};

/// Memories can be selected only by id, so that a model cannot remove a whole project by mistake. A dry run is the
/// default, because a forgotten memory cannot be restored.
pub(super) const TOOL: Tool = Tool {
    name: "memory_forget",
    title: "Forget memories for good",
    description: "Removes memories permanently, from the log and from every index and file of the engine, together \
        with the events about them. Nothing brings them back. Use it only when somebody asks for something to be \
        forgotten, or when something should never have been saved; to end a memory that is merely no longer true, use \
        memory_invalidate. Unless dry_run is false, it only reports what would be removed and changes nothing: show \
        that to the person who asked, then call it again with dry_run: false. The reason stays in the log permanently \
        and must not repeat what is to be forgotten.",
    effect: Effect::Ends,
    input: schema::writing::<ForgetArguments>,
    output: Output::Structured(schema::output::<ForgetAnswer>),
    call,
};

/// Arguments of `memory_forget`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForgetArguments {
    /// Ids of the memories to forget.
    #[schemars(length(min = 1, max = FORGET_IDS_MAX), inner(regex(pattern = ID_PATTERN)))]
    ids: Vec<String>,
    /// Why. The reason stays in the log permanently, so it must not repeat what is to be forgotten.
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    reason: String,
    /// Only report what would be forgotten; default true.
    #[serde(default)]
    dry_run: Option<bool>,
    /// Actor that requests it; default `anonymous`.
    #[serde(default)]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    actor: Option<String>,
}

impl From<ForgetArguments> for ForgetMemories {
    fn from(arguments: ForgetArguments) -> ForgetMemories {
        let ForgetArguments { ids, reason, dry_run, actor } = arguments;
        let dry_run = dry_run.unwrap_or(true);
        ForgetMemories { ids: Some(ids), project: None, session: None, source: None, reason, dry_run, actor }
    }
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let (request, key) = arguments.write_as::<ForgetArguments, ForgetMemories>("/v1/forget")?;
        // A dry run writes nothing and does not use the key. If it did, the later request that forgets would conflict
        // on the key.
        let key = key.filter(|_| !request.dry_run);
        let Written { answer, .. } = operations.forget(request, key).await?;
        let text = text(&answer);
        Answer::new(&answer, text)
    })
}

fn text(answer: &ForgetAnswer) -> String {
    let ForgetAnswer { memories, about, bytes, .. } = answer;
    if answer.dry_run {
        return format!(
            "NOTHING WAS FORGOTTEN. {memories} memories of {bytes} bytes and {about} events about them would be removed permanently. \
             To remove them, call again with dry_run: false."
        );
    }
    let mut text =
        format!("{memories} memories of {bytes} bytes and {about} events about them were forgotten.");
    for event in &answer.recorded {
        let _infallible = write!(text, " Recorded as event {}.", event.seq);
    }
    for place in &answer.places {
        let state = match place.state {
            PlaceState::Gone => "gone",
            PlaceState::Pending => "pending, removed automatically",
            PlaceState::Found => "the same text was found there",
            PlaceState::OutOfReach => "cannot be removed by the engine",
        };
        let _infallible = write!(text, "\n{:?}: {state}; {}", place.place, place.check);
    }
    text
}
