//! The tool `memory_timeline`: the memories saved before and after an anchor.

use std::fmt::Write as _;

use engine_core::limits::{NAME_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX, TIMELINE_DEFAULT, TIMELINE_MAX};
use engine_core::parts::{ROOM, around, cost};
use engine_core::request;
use engine_core::tags::Tags;
use engine_core::wire::patterns::{ID_PATTERN, NAME_PATTERN};
use engine_core::wire::{ErrorCode, TimelineAnswer};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::search::LIST_MARK;
use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool, within};
use crate::operations::{Operations, SEQ_MAX};
use crate::refusal::{Refusal, internal};
use engine_projection::{Anchor, Timeline};

pub(super) const TOOL: Tool = Tool {
    name: "memory_timeline",
    title: "Memories around a memory",
    description: "Lists the memories that were saved just before and just after a memory, an event or a time, in the \
        order they were saved, including those that are no longer true. Use it when one memory is not enough to \
        understand the situation: the memories around it are the rest of the conversation. Limit it to one project or \
        session if others were writing at the same time.",
    effect: Effect::Reads,
    input: schema::input::<TimelineArguments>,
    output: Output::Text,
    call,
};

/// Arguments of `memory_timeline`. Exactly one of id, seq and time is required.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TimelineArguments {
    /// Anchor: the memory with this id.
    #[serde(default)]
    #[schemars(regex(pattern = ID_PATTERN))]
    id: Option<String>,
    /// Anchor: the event with this sequence number, the first part of a citation.
    #[serde(default)]
    #[schemars(range(min = 0, max = SEQ_MAX))]
    seq: Option<u64>,
    /// Anchor: this time, RFC 3339.
    #[serde(deserialize_with = "engine_core::wire::moment::maybe", default)]
    time: Option<Timestamp>,
    /// Number of memories before the anchor; default 5.
    #[serde(default)]
    #[schemars(range(min = 0, max = TIMELINE_MAX))]
    before: Option<u64>,
    /// Number of memories after the anchor; default 5.
    #[serde(default)]
    #[schemars(range(min = 0, max = TIMELINE_MAX))]
    after: Option<u64>,
    /// Only memories of this project.
    #[serde(default)]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    project: Option<String>,
    /// Only memories of this conversation.
    #[serde(default)]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    session: Option<String>,
    /// Only memories that have at least one of these tags; exact match.
    #[serde(default)]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    tags_any: Vec<String>,
    /// Only memories that have all of these tags.
    #[serde(default)]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    tags_all: Vec<String>,
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let TimelineArguments { id, seq, time, before, after, mut project, mut session, tags_any, tags_all } =
            arguments.read()?;
        let seq = within("seq", seq, (0, SEQ_MAX))?;
        let anchor = match (id, seq, time) {
            (Some(id), None, None) => Anchor::Id(id),
            (None, Some(seq), None) => Anchor::Seq(seq),
            (None, None, Some(time)) => Anchor::Time(time),
            _ => {
                return Err(Refusal::new(
                    ErrorCode::InvalidArgument,
                    "exactly one of id, seq and time must be given",
                )
                .hint("see the tool's input schema"));
            }
        };
        for (field, value) in [("project", &mut project), ("session", &mut session)] {
            request::optional(field, value, NAME_CHARS_MAX)?;
        }
        let some = |field, value| {
            let value = within(field, value, (0, TIMELINE_MAX.into()))?;
            let value = value.and_then(|value| u32::try_from(value).ok());
            Ok::<u32, Refusal>(value.unwrap_or(TIMELINE_DEFAULT))
        };
        let (before, after) = (some("before", before)?, some("after", after)?);
        let moment = operations.moment(None, None);
        let tags = Tags::new(tags_any, tags_all)?;
        let asked = Timeline { anchor, before, after, project, session, tags, moment };
        let mut answer = operations.timeline(asked, None).await?;
        let left_out = trimmed(&mut answer)?;
        let mut text = text(&answer);
        if left_out > 0 {
            let _infallible = write!(
                text,
                "\n({left_out} more memories, the furthest from the anchor, did not fit: call again with the id of the first or the last memory above.)"
            );
        }
        let answer = Answer::new(&answer, text)?;
        Ok(if left_out > 0 { answer.with("left_out", left_out.into()) } else { answer })
    })
}

/// Removes the memories furthest from the anchor until the others fit into a result. Returns the number of removed
/// memories.
fn trimmed(answer: &mut TimelineAnswer) -> Result<usize, Refusal> {
    let cost_of = |item| serde_json::to_string(item).map(|text| cost(&text) + LIST_MARK);
    let costs: Result<Vec<usize>, _> = answer.items.iter().map(cost_of).collect();
    let costs = costs.map_err(|fault| internal(&fault))?;
    let (from, to) = around(&costs, answer.anchor.unwrap_or(costs.len() / 2), ROOM);
    answer.items.truncate(to);
    drop(answer.items.drain(..from));
    answer.anchor = answer.anchor.and_then(|anchor| anchor.checked_sub(from));
    Ok(costs.len() - answer.items.len())
}

fn text(answer: &TimelineAnswer) -> String {
    if answer.items.is_empty() {
        return "There are no memories around it.".to_owned();
    }
    let mut text = String::new();
    for (i, item) in answer.items.iter().enumerate() {
        let mark = if answer.anchor == Some(i) { "> " } else { "  " };
        let time = item.occurred_at.strftime("%Y-%m-%d %H:%M");
        let title = if item.title.is_empty() { String::new() } else { format!("{}: ", item.title) };
        let _infallible = write!(
            text,
            "{mark}[{}] {time}, {}: {title}{} (memory {}",
            item.citation, item.actor, item.snippet, item.id
        );
        if let Some(until) = item.validity.until {
            let _infallible = write!(text, ", true until {until}");
        }
        text.push_str(")\n");
    }
    text.truncate(text.trim_end().len());
    text
}
