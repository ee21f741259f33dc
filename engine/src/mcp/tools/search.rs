//! The tool `memory_search`, and the parts of it that `memory_as_of` and `memory_explain` share.

use std::collections::HashMap;
use std::fmt::Write as _;

use engine_core::limits::{
    NAME_CHARS_MAX, QUERY_CHARS_MAX, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN, SEARCH_OFFSET_MAX, TAG_CHARS_MAX,
    TAGS_MAX,
};
use engine_core::parts::{ROOM, cost, fitting};
use engine_core::request;
use engine_core::tags::Tags;
use engine_core::wire::patterns::NAME_PATTERN;
use engine_core::wire::{Degraded, SearchAnswer, SearchMode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool, within};
use crate::operations::Operations;
use crate::refusal::{Refusal, internal};
use engine_projection::{Moment, Search};

pub(super) const TOOL: Tool = Tool {
    name: "memory_search",
    title: "Search memories",
    description: "Finds memories that are true now, best first, each with citation SEQ:HASH, score, date, actor and a \
        snippet. Use it before answering anything that may have been said, decided or observed earlier, and before \
        saving. Memories are found by words, by meaning and by the conversation they belong to, so ask in plain words. \
        Without a query it lists the newest memories. memory_get reads one memory in full; memory_as_of searches what \
        was true or known at another time.",
    effect: Effect::Reads,
    input: schema::input::<SearchArguments>,
    output: Output::Text,
    call,
};

/// Arguments of `memory_search`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchArguments {
    /// What to search for. Without a query the newest memories are listed.
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
    /// Number of memories to return; default 20.
    #[serde(default)]
    #[schemars(range(min = SEARCH_LIMIT_MIN, max = SEARCH_LIMIT_MAX))]
    limit: Option<u64>,
    /// Number of memories to skip, for the next page.
    #[serde(default)]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    offset: Option<u64>,
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let SearchArguments { query, project, kind, session, tags_any, tags_all, limit, offset } =
            arguments.read()?;
        let wanted = Wanted {
            query,
            project,
            kind,
            session,
            tags: (tags_any, tags_all),
            explain: false,
            limit,
            offset,
        };
        let moment = operations.moment(None, None);
        let skipped = offset.unwrap_or(0);
        let found = find(&operations, wanted, moment).await?;
        let (found, next) = page(found, skipped)?;
        let answer = Answer::new(&found, found_text(&found, next))?;
        Ok(next_page(answer, next))
    })
}

/// Returns the first of the found memories, as many as fit into a result, and the offset of the next page if there is
/// one.
pub(super) fn page(mut found: SearchAnswer, skipped: u64) -> Result<(SearchAnswer, Option<u64>), Refusal> {
    let kept = room_for(&found.items)?;
    found.items.truncate(kept);
    let behind = skipped + kept as u64;
    let is_more = kept > 0 && behind < found.total && behind <= SEARCH_OFFSET_MAX.into();
    Ok((found, is_more.then_some(behind)))
}

/// Returns how many items from the start of the list fit into a result.
pub(super) fn room_for(items: &[impl Serialize]) -> Result<usize, Refusal> {
    let cost_of = |item| serde_json::to_string(item).map(|text| cost(&text) + LIST_MARK);
    let costs: Result<Vec<usize>, _> = items.iter().map(cost_of).collect();
    Ok(fitting(costs.map_err(|fault| internal(&fault))?, ROOM))
}

/// Bytes added for each item: its separator in the list, and the parts of the text form that are not in the fields.
pub(super) const LIST_MARK: usize = 64;

/// Adds the offset of the next page to the structured result.
pub(super) fn next_page(answer: Answer, next: Option<u64>) -> Answer {
    match next {
        Some(next) => answer.with("next_offset", next.into()),
        None => answer,
    }
}

/// Arguments of a search that `memory_search`, `memory_as_of` and `memory_explain` share.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) query: Option<String>,
    pub(super) project: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) session: Option<String>,
    /// `tags_any` and `tags_all`.
    pub(super) tags: (Vec<String>, Vec<String>),
    pub(super) explain: bool,
    pub(super) limit: Option<u64>,
    pub(super) offset: Option<u64>,
}

pub(super) async fn find(
    operations: &Operations,
    wanted: Wanted,
    moment: Moment,
) -> Result<SearchAnswer, Refusal> {
    let Wanted { query, mut project, mut kind, mut session, tags, explain, limit, offset } = wanted;
    let words = query.unwrap_or_default();
    request::words(&words)?;
    for (field, value) in [("project", &mut project), ("type", &mut kind), ("session", &mut session)] {
        request::optional(field, value, NAME_CHARS_MAX)?;
    }
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let limit = within("limit", limit, (SEARCH_LIMIT_MIN.into(), SEARCH_LIMIT_MAX.into()))?;
    let offset = within("offset", offset, (0, SEARCH_OFFSET_MAX.into()))?;
    let search = Search {
        words,
        project,
        kind,
        session,
        tags: Tags::new(tags.0, tags.1)?,
        mode: SearchMode::Hybrid,
        explain,
        moment,
        limit: limit.map_or_else(|| operations.search_limit(), small),
        offset: offset.map_or(0, small),
    };
    Ok((*operations.search(search, None).await?).clone())
}

/// The text form of the found memories.
pub(super) fn found_text(found: &SearchAnswer, next: Option<u64>) -> String {
    let bound = if found.total_is_bound { "at least " } else { "" };
    let mut text = match found.total {
        0 => "Nothing found.".to_owned(),
        total => format!("{} of {bound}{total}:", found.items.len()),
    };
    let mut met: HashMap<&str, &str> = HashMap::new();
    for item in &found.items {
        let title = if item.title.is_empty() { String::new() } else { format!("{}: ", item.title) };
        // A text that was saved several times is shown once.
        let same_as = *met.entry(item.snippet.as_str()).or_insert(item.citation.as_str());
        let is_whole = !item.snippet.contains('…');
        let snippet = match is_whole && same_as != item.citation {
            true => format!("(same text as [{same_as}])"),
            false => item.snippet.clone(),
        };
        let _infallible = write!(
            text,
            "\n[{}] {:.3}, {}, {}: {title}{snippet} (memory {}, {} in {}, true from {})",
            item.citation,
            item.score,
            item.occurred_at.strftime("%Y-%m-%d"),
            item.actor,
            item.id,
            item.kind,
            item.project,
            item.validity.from
        );
    }
    for Degraded { lane, reason } in &found.degraded {
        let _infallible = write!(text, "\nThe retrieval method {lane} was not used: {reason}.");
    }
    if let Some(next) = next {
        let _infallible = write!(text, "\nThere are more: call again with offset {next}.");
    }
    text
}

impl Wanted {
    /// Whether any argument is set that applies only to a search. `offset` does not count, because it is also used to
    /// read a memory in parts.
    pub(super) fn is_narrowed(&self) -> bool {
        let Wanted { query, project, kind, session, tags, explain: _, limit, offset: _ } = self;
        query.is_some()
            || project.is_some()
            || kind.is_some()
            || session.is_some()
            || !tags.0.is_empty()
            || !tags.1.is_empty()
            || limit.is_some()
    }
}
