//! The tool `memory_get`: reads one memory, in parts if it is long.

use std::fmt::Write as _;

use engine_core::parts::{Part, ROOM, cost, part};
use engine_core::request::Refused;
use engine_core::wire::MemoryView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::Operations;
use crate::refusal::{Refusal, internal};

pub(super) const TOOL: Tool = Tool {
    name: "memory_get",
    title: "Read a memory",
    description: "Reads one memory in full by its id: content, tags, actor, when it happened and since when it is \
        true. Ids come from memory_search and memory_save. A long memory is returned in parts; each part contains how \
        to get the next one. A memory that is no longer true is refused with the time for which it was true; \
        memory_as_of reads it as of that time.",
    effect: Effect::Reads,
    input: schema::input::<GetArguments>,
    output: Output::Text,
    call,
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The memory's id, 32 hex digits.
    #[schemars(regex(pattern = engine_core::wire::patterns::ID_PATTERN))]
    id: String,
    /// Number of characters of the content to skip: the offset of the next part, from the previous part.
    #[serde(default)]
    offset: Option<u64>,
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let GetArguments { id, offset } = arguments.read()?;
        let moment = operations.moment(None, None);
        let view = operations.read(id, moment, None).await?;
        let (view, place) = memory_part(&view, offset)?;
        let answer = Answer::new(&view, memory_text(&view) + &place.continuation("memory_get"))?;
        place.noted(answer)
    })
}

/// Position of a part within the complete content, in characters.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    /// Where the part begins.
    offset: usize,
    /// Where the next part begins; absent for the last part.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
    /// Characters of the complete content.
    total: usize,
}

impl Place {
    fn is_all(&self) -> bool {
        self.offset == 0 && self.next_offset.is_none()
    }

    /// The text for a model: which part this is, and how to get the next one.
    pub(super) fn continuation(&self, tool: &str) -> String {
        let Place { offset, next_offset, total } = self;
        match next_offset {
            _ if self.is_all() => String::new(),
            Some(next) => format!(
                "\n\n(PART of the content, characters {offset} to {next} of {total}. Call {tool} again with offset {next} for the next part.)"
            ),
            None => format!("\n\n(The last PART of the content, from character {offset} of {total}.)"),
        }
    }

    /// Adds the position to the structured answer, unless the part is the complete content.
    pub(super) fn noted(self, answer: Answer) -> Result<Answer, Refusal> {
        let part = serde_json::to_value(&self).map_err(|fault| internal(&fault))?;
        Ok(if self.is_all() { answer } else { answer.with("part", part) })
    }
}

/// A memory with as much of its content, starting at `offset`, as fits into an answer.
pub(super) fn memory_part(view: &MemoryView, offset: Option<u64>) -> Result<(MemoryView, Place), Refusal> {
    let offset = usize::try_from(offset.unwrap_or(0)).unwrap_or(usize::MAX);
    let frame = MemoryView { content: String::new(), ..view.clone() };
    let frame = serde_json::to_string(&frame).map_err(|fault| internal(&fault))?;
    let room = ROOM.saturating_sub(cost(&frame));
    let Some(Part { text, next, total }) = part(&view.content, offset, room) else {
        let max = view.content.chars().count() as u64;
        return Err(Refused::Range { field: "offset", min: 0, max }.into());
    };
    let place = Place { offset, next_offset: next, total };
    Ok((MemoryView { content: text.to_owned(), ..view.clone() }, place))
}

/// The text form of a memory.
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
