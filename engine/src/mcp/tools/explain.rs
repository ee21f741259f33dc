//! The tool `memory_explain`: the score of each memory of a search, feature by feature.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use engine_core::limits::{
    NAME_CHARS_MAX, QUERY_CHARS_MAX, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN, SEARCH_OFFSET_MAX, TAG_CHARS_MAX,
    TAGS_MAX,
};
use engine_core::request;
use engine_core::wire::patterns::{ID_PATTERN, NAME_PATTERN, TEXT_PATTERN};
use engine_core::wire::{Degraded, FeatureView, SearchAnswer, SearchHit};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::search::{Wanted, find, next_page, room_for};
use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::Operations;
use crate::refusal::Refusal;

/// Default number of memories that are explained. It is small because a breakdown is long.
const EXPLAINED_DEFAULT: u64 = 5;
/// Maximum number of features of each memory that the text shows. The JSON form has all of them.
const FEATURES_SHOWN: usize = 10;

pub(super) const TOOL: Tool = Tool {
    name: "memory_explain",
    title: "Explain a ranking",
    description: "Explains the ranking of memory_search: for a query, the score of each of the best memories, the \
        value of every feature and what it added to the score, the version of the weights, and the retrieval methods \
        (lanes) that were not used. With an id it explains only that memory, at its rank, or reports that it was not \
        ranked. Use it when a memory that should be found is missing or ranked too low. To find memories, use \
        memory_search.",
    effect: Effect::Reads,
    input: schema::input::<ExplainArguments>,
    output: Output::Text,
    call,
};

/// Arguments of `memory_explain`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExplainArguments {
    /// Query of the search.
    #[schemars(length(min = 1, max = QUERY_CHARS_MAX), regex(pattern = TEXT_PATTERN))]
    query: String,
    /// Explain only this memory, at any rank.
    #[serde(default)]
    #[schemars(regex(pattern = ID_PATTERN))]
    id: Option<String>,
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
    /// Number of memories to explain, best first; default 5. Ignored with an id.
    #[serde(default)]
    #[schemars(range(min = SEARCH_LIMIT_MIN, max = SEARCH_LIMIT_MAX))]
    limit: Option<u64>,
    /// Number of memories to skip, for the next page. Ignored with an id.
    #[serde(default)]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    offset: Option<u64>,
}

/// Answer of `memory_explain`.
#[derive(Debug, Serialize, JsonSchema)]
struct Explained {
    /// The memories, best first. Empty if the requested memory was not ranked.
    items: Vec<ExplainedHit>,
    /// Number of memories that were ranked.
    total: u64,
    /// Version of the weights.
    weights: String,
    /// Lanes that were not used, and why.
    degraded: Vec<Degraded>,
    /// The answer reflects the log up to this event.
    applied_seq: u64,
}

/// One memory and the breakdown of its score.
#[derive(Debug, Serialize, JsonSchema)]
struct ExplainedHit {
    /// Its rank, from 1.
    rank: u64,
    /// Its id.
    id: String,
    /// Its citation `SEQ:HASH`, with the first 12 hex digits of the event's hash.
    citation: String,
    /// Sum of the points of all features.
    score: f64,
    /// Title, or empty.
    title: String,
    /// The part of the content around the first matching word.
    snippet: String,
    /// Actor that saved it.
    actor: String,
    /// When it happened.
    occurred_at: Timestamp,
    /// Value of each feature that is not 0, and what it added to the score.
    breakdown: BTreeMap<String, FeatureView>,
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let ExplainArguments { query, id, project, kind, session, tags_any, tags_all, limit, offset } =
            arguments.read()?;
        request::prompt(&query)?;
        // The requested memory may have any rank.
        let limit = if id.is_some() { SEARCH_LIMIT_MAX.into() } else { limit.unwrap_or(EXPLAINED_DEFAULT) };
        let wanted = Wanted {
            query: Some(query),
            project,
            kind,
            session,
            tags: (tags_any, tags_all),
            explain: true,
            limit: Some(limit),
            offset: offset.filter(|_| id.is_none()),
        };
        let skipped = wanted.offset.unwrap_or(0);
        let found = find(&operations, wanted, operations.moment(None, None)).await?;
        let mut explained = explained(found, skipped, id.as_deref());
        let kept = room_for(&explained.items)?;
        // The next page is offered only if the result could not hold all requested memories.
        let next = (kept < explained.items.len()).then_some(skipped + kept as u64);
        explained.items.truncate(kept);
        if let (Some(id), true) = (&id, explained.items.is_empty()) {
            check(&operations, id.clone()).await?;
        }
        let mut text = text(&explained, id.as_deref());
        if let Some(next) = next {
            let _infallible = write!(text, "\nThere are more: call again with offset {next}.");
        }
        Ok(next_page(Answer::new(&explained, text)?, next))
    })
}

/// Returns an error with the reason if no memory has this id or the memory is not valid now. A valid memory may still
/// be unranked.
async fn check(operations: &Operations, id: String) -> Result<(), Refusal> {
    operations.read(id, operations.moment(None, None), None).await.map(drop)
}

fn explained(found: SearchAnswer, skipped: u64, only: Option<&str>) -> Explained {
    let SearchAnswer { items, total, weights, degraded, applied_seq, .. } = found;
    let item = |(rank, hit): (u64, SearchHit)| {
        let SearchHit { id, citation, score, title, snippet, actor, occurred_at, breakdown, .. } = hit;
        let breakdown = breakdown.unwrap_or_default();
        ExplainedHit { rank, id, citation, score, title, snippet, actor, occurred_at, breakdown }
    };
    let wanted = |item: &ExplainedHit| only.is_none_or(|id| item.id == id);
    let items = (skipped + 1..).zip(items).map(item).filter(wanted).collect();
    Explained { items, total, weights, degraded, applied_seq }
}

fn text(explained: &Explained, only: Option<&str>) -> String {
    let Explained { items, total, weights, degraded, .. } = explained;
    let mut text = match (items.is_empty(), only) {
        (true, Some(id)) => {
            format!(
                "Memory {id} exists, but is not among the {total} memories that were ranked for this query."
            )
        }
        (true, None) => "Nothing found.".to_owned(),
        (false, _) => format!("{} of {total} ranked memories, with weights {weights}:", items.len()),
    };
    for item in items {
        let date = item.occurred_at.strftime("%Y-%m-%d");
        let _infallible = write!(
            text,
            "\n{}. [{}] score {:.4}, {date}, {}: {}",
            item.rank, item.citation, item.score, item.actor, item.snippet
        );
        let mut features: Vec<_> = item.breakdown.iter().collect();
        features.sort_by(|(_, one), (_, other)| other.points.abs().total_cmp(&one.points.abs()));
        for (name, FeatureView { value, points }) in features.iter().take(FEATURES_SHOWN) {
            let _infallible = write!(text, "\n   {points:+.4} {name} (value {value:.4})");
        }
        if let Some(rest) = features.get(FEATURES_SHOWN..).filter(|rest| !rest.is_empty()) {
            let points: f64 = rest.iter().map(|(_, feature)| feature.points).sum();
            let _infallible = write!(text, "\n   {points:+.4} {} other features together", rest.len());
        }
    }
    for Degraded { lane, reason } in degraded {
        let _infallible = write!(text, "\nThe retrieval method {lane} was not used: {reason}.");
    }
    text
}
