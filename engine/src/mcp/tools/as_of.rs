//! `memory_as_of`.

use engine_core::limits::{
    NAME_CHARS_MAX, QUERY_CHARS_MAX, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN, SEARCH_OFFSET_MAX, TAG_CHARS_MAX,
    TAGS_MAX,
};
use engine_core::wire::patterns::{ID_PATTERN, NAME_PATTERN};
use engine_core::wire::{ErrorCode, MemoryView, SearchAnswer};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::get::{memory_part, memory_text};
use super::search::{Wanted, find, found_text, next_page, page};
use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool, within};
use crate::operations::{Operations, SEQ_MAX};
use crate::refusal::Refusal;
use engine_projection::Known;

pub(super) const TOOL: Tool = Tool {
    name: "memory_as_of",
    title: "Memories as of another time",
    description: "Answers as of another moment: as_of asks what was true then, known_at what this memory knew then, both \
        together what it believed at one moment to be true at another. Use it to reconstruct why something was decided, or to \
        read a memory that has ended. With an id it reads one memory, with a query it searches, with neither it lists what was \
        newest. memory_search and memory_get answer as of now.",
    effect: Effect::Reads,
    input: schema::input::<AsOfArguments>,
    output: Output::Text,
    call,
};

/// The moment, and what to read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AsOfArguments {
    /// True at this moment, RFC 3339; default now.
    #[serde(deserialize_with = "engine_core::wire::moment::maybe", default)]
    as_of: Option<Timestamp>,
    /// Known at this moment, RFC 3339: nothing that was saved later counts; default now.
    #[serde(deserialize_with = "engine_core::wire::moment::maybe", default)]
    known_at: Option<Timestamp>,
    /// Known after this event, in place of known_at: nothing with a higher sequence number counts.
    #[serde(default)]
    #[schemars(range(min = 0, max = SEQ_MAX))]
    known_at_seq: Option<u64>,
    /// Read this memory.
    #[serde(default)]
    #[schemars(regex(pattern = ID_PATTERN))]
    id: Option<String>,
    /// Search with these words.
    #[serde(default)]
    #[schemars(length(max = QUERY_CHARS_MAX))]
    query: Option<String>,
    /// Only memories of this project.
    #[serde(default)]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    project: Option<String>,
    /// Only memories of this type.
    #[serde(rename = "type", default)]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    kind: Option<String>,
    /// Only memories that have at least one of these tags, letter by letter.
    #[serde(default)]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    tags_any: Vec<String>,
    /// Only memories that have every one of these tags.
    #[serde(default)]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    tags_all: Vec<String>,
    /// How many; default 20.
    #[serde(default)]
    #[schemars(range(min = SEARCH_LIMIT_MIN, max = SEARCH_LIMIT_MAX))]
    limit: Option<u64>,
    /// How many to skip, for the next page; with an id characters of its content, for its next part.
    #[serde(default)]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    offset: Option<u64>,
}

/// Answer of `memory_as_of`.
#[derive(Debug, Serialize, JsonSchema)]
struct AsOf {
    /// The memory, when an id was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryView>,
    /// What was found, when no id was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<SearchAnswer>,
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let arguments: AsOfArguments = arguments.read()?;
        let AsOfArguments { as_of, known_at, known_at_seq, id, query, project, kind, limit, offset, .. } =
            arguments;
        let tags = (arguments.tags_any, arguments.tags_all);
        let seq = within("known_at_seq", known_at_seq, (0, SEQ_MAX))?;
        let known = match (known_at, seq) {
            (Some(_), Some(_)) => return Err(refused("known_at and known_at_seq exclude each other")),
            (None, None) if as_of.is_none() => {
                return Err(refused("one of as_of, known_at and known_at_seq is needed"));
            }
            (at, seq) => at.map(Known::At).or(seq.map(Known::Through)),
        };
        let moment = operations.moment(as_of, known);
        let wanted = Wanted { query, project, kind, session: None, tags, explain: false, limit, offset };
        if let Some(id) = id {
            if wanted.is_narrowed() {
                return Err(refused("id excludes query, project, type, tags_any, tags_all and limit"));
            }
            let memory = operations.read(id, moment, None).await?;
            let (memory, place) = memory_part(&memory, offset)?;
            let text = memory_text(&memory) + &place.told("memory_as_of");
            return place.noted(Answer::new(&AsOf { memory: Some(memory), found: None }, text)?);
        }
        let found = find(&operations, wanted, moment).await?;
        let (found, next) = page(found, offset.unwrap_or(0))?;
        let text = found_text(&found, next);
        Ok(next_page(Answer::new(&AsOf { memory: None, found: Some(found) }, text)?, next))
    })
}

fn refused(message: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidArgument, message).hint("see the tool's input schema")
}
