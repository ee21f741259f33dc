//! `memory_events`.

use std::fmt::Write as _;

use engine_core::limits::{EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX};
use engine_core::wire::EventPage;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Tool, within};
use crate::operations::{EventFilter, Operations, SEQ_MAX};

pub(super) const TOOL: Tool = Tool {
    name: "memory_events",
    title: "Replay the log",
    description: "Reads the log as it is, event by event in order: memories saved, memories ended, and what programs appended. \
        Use it to see what happened and in which order, or to follow the log: pass the last sequence number as `after` to get \
        what came next. To find memories, use memory_search.",
    effect: Effect::Reads,
    input: schema::input::<EventsArguments>,
    output: schema::output::<EventPage>,
    call,
};

/// Which events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventsArguments {
    /// Start after this sequence number; default 0, the beginning.
    #[serde(default)]
    #[schemars(range(min = 0, max = SEQ_MAX))]
    after: Option<u64>,
    /// How many; default 100.
    #[serde(default)]
    #[schemars(range(min = 1, max = EVENTS_LIMIT_MAX))]
    limit: Option<u64>,
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let EventsArguments { after, limit } = arguments.read()?;
        let after = within("after", after, (0, SEQ_MAX))?.unwrap_or(0);
        let limit = within("limit", limit, (1, EVENTS_LIMIT_MAX.into()))?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        let page = operations
            .events(after, limit.unwrap_or(EVENTS_LIMIT_DEFAULT as usize), EventFilter::default())
            .await?;
        let mut text = format!("{} events, the log has {}:", page.events.len(), page.head_seq);
        for event in &page.events {
            let (time, kind, actor) = (event.time, &event.kind, &event.actor);
            let _infallible = write!(text, "\n{} {time} {kind} by {actor} in {}", event.seq, event.project);
        }
        Answer::new(&page, text)
    })
}
