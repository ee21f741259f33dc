//! `memory_forget`.

use std::fmt::Write as _;

use engine_core::limits::{FORGET_IDS_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX};
use engine_core::wire::patterns::{ID_PATTERN, NAME_PATTERN};
use engine_core::wire::{ForgetAnswer, ForgetMemories, PlaceState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::{Operations, Written};

/// By ids alone: a model that means one conversation should not be able to name a whole project. And nothing goes before it
/// was said that it should, as nothing brings it back.
pub(super) const TOOL: Tool = Tool {
    name: "memory_forget",
    title: "Forget memories for good",
    description: "Removes memories for good, from the log and from every index and file of the engine, with what was said about \
        them. Nothing brings them back. Use it only when somebody asks for something to be forgotten or something should never \
        have been saved; what is merely no longer true is ended with memory_invalidate. Called without dry_run: false it says what \
        would go and changes nothing; show that to whoever asked, then call it again with dry_run: false. The reason stays \
        in the log for good and must not repeat what is to be forgotten.",
    effect: Effect::Ends,
    input: schema::writing::<ForgetArguments>,
    output: Output::Structured(schema::output::<ForgetAnswer>),
    call,
};

/// What to forget.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForgetArguments {
    /// Ids of the memories.
    #[schemars(length(min = 1, max = FORGET_IDS_MAX), inner(regex(pattern = ID_PATTERN)))]
    ids: Vec<String>,
    /// Why. Stays in the log for good: it must not repeat what is to be forgotten.
    #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    reason: String,
    /// Only say what would be forgotten; default true.
    #[serde(default)]
    dry_run: Option<bool>,
    /// Who says so; default `anonymous`.
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
        // A key is for what is written: that of a trial would stand in the way of the request that means it.
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
            "NOTHING WAS FORGOTTEN. {memories} memories of {bytes} bytes and {about} events about them would go for good. \
             If that is meant, call again with dry_run: false."
        );
    }
    let mut text =
        format!("{memories} memories of {bytes} bytes and {about} events about them are forgotten.");
    for event in &answer.recorded {
        let _infallible = write!(text, " Recorded as event {}.", event.seq);
    }
    for place in &answer.places {
        let state = match place.state {
            PlaceState::Gone => "gone",
            PlaceState::Pending => "pending, goes by itself",
            PlaceState::Found => "something there says the same",
            PlaceState::OutOfReach => "out of reach",
        };
        let _infallible = write!(text, "\n{:?}: {state}; {}", place.place, place.check);
    }
    text
}
