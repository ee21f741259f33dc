//! The tool `memory_as_of`: reads and searches as of another time.

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
use engine_projection::LogState;

pub(super) const TOOL: Tool = Tool {
    name: "memory_as_of",
    title: "Memories as of another time",
    description: "Answers as of another time: as_of selects what was true at that time, known_at what had been saved \
        by that time, and both together what was believed at one time to be true at another. Use it to reconstruct why \
        something was decided, or to read a memory that has ended. With an id it reads one memory, with a query it \
        searches, and with neither it lists the memories that were newest. memory_search and memory_get answer as of \
        now.",
    effect: Effect::Reads,
    input: schema::input::<AsOfArguments>,
    output: Output::Text,
    call,
};

/// Arguments of `memory_as_of`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AsOfArguments {
    /// Only memories that were true at this time, RFC 3339; default now.
    #[serde(deserialize_with = "engine_core::wire::moment::maybe", default)]
    as_of: Option<Timestamp>,
    /// Only what had been saved by this time, RFC 3339; default now.
    #[serde(deserialize_with = "engine_core::wire::moment::maybe", default)]
    known_at: Option<Timestamp>,
    /// Instead of known_at: only events up to this sequence number.
    #[serde(default)]
    #[schemars(range(min = 0, max = SEQ_MAX))]
    known_at_seq: Option<u64>,
    /// Id of the memory to read.
    #[serde(default)]
    #[schemars(regex(pattern = ID_PATTERN))]
    id: Option<String>,
    /// What to search for.
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
    /// Only memories that have at least one of these tags; exact match.
    #[serde(default)]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    tags_any: Vec<String>,
    /// Only memories that have all of these tags.
    #[serde(default)]
    #[schemars(length(max = TAGS_MAX), inner(length(min = 1, max = TAG_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    tags_all: Vec<String>,
    /// Number of memories to return; default 20.
    #[serde(default)]
    #[schemars(range(min = SEARCH_LIMIT_MIN, max = SEARCH_LIMIT_MAX))]
    limit: Option<u64>,
    /// Number of memories to skip, for the next page. With an id: number of characters of the content to skip, for the
    /// next part.
    #[serde(default)]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    offset: Option<u64>,
}

/// Answer of `memory_as_of`.
#[derive(Debug, Serialize, JsonSchema)]
struct AsOf {
    /// The memory, if an id was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryView>,
    /// The found memories, if no id was given.
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
            (Some(_), Some(_)) => return Err(refused("known_at and known_at_seq cannot be combined")),
            (None, None) if as_of.is_none() => {
                return Err(refused("one of as_of, known_at and known_at_seq is required"));
            }
            (at, seq) => at.map(LogState::At).or(seq.map(LogState::Through)),
        };
        let moment = operations.moment(as_of, known);
        let wanted = Wanted { query, project, kind, session: None, tags, explain: false, limit, offset };
        if let Some(id) = id {
            if wanted.is_narrowed() {
                return Err(refused(
                    "id cannot be combined with query, project, type, tags_any, tags_all or limit",
                ));
            }
            let memory = operations.read(id, moment, None).await?;
            let (memory, place) = memory_part(&memory, offset)?;
            let text = memory_text(&memory) + &place.continuation("memory_as_of");
            return place.noted(Answer::new(&AsOf { memory: Some(memory), found: None }, text)?);
        }
        let found = find(&operations, wanted, moment).await?;
        let (found, next) = page(found, offset.unwrap_or(0))?;
        let text = found_text(&found, next);
        Ok(next_page(Answer::new(&AsOf { memory: None, found: Some(found) }, text)?, next))
    })
}

fn refused(message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::InvalidArgument, message).hint("see the tool's input schema")
}
