//! `/v1/items`: values under a namespace and a key.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Degraded;
use super::patterns::{NAME_PATTERN, SEGMENT_PATTERN};
use crate::limits::{
    ITEM_FIELD_CHARS_MAX, ITEM_INDEX_FIELDS_MAX, ITEM_KEY_CHARS_MAX, ITEM_SEGMENT_CHARS_MAX,
    ITEM_SEGMENTS_MAX, ITEMS_LIMIT_MAX, NAME_CHARS_MAX, QUERY_CHARS_MAX, SEARCH_OFFSET_MAX,
};

/// Body of `PUT /v1/items`: a new version of an item, which makes the item when there is none.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutItem {
    /// What it belongs to; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Where it is, from the outside in: 1 to 8 segments without full stops.
    #[schemars(length(min = 1, max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace: Vec<String>,
    /// What it is called there.
    #[schemars(length(min = 1, max = ITEM_KEY_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub key: String,
    /// Any JSON up to 1 MiB; kept byte for byte.
    pub value: Box<RawValue>,
    /// First moment at which it is not there any more; default never. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Paths of the fields whose words it is found by, such as `author.name` or `chapters[*].title`; default all of them.
    /// An empty list: it is not found by words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ITEM_INDEX_FIELDS_MAX), inner(length(min = 1, max = ITEM_FIELD_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub index: Option<Vec<String>>,
    /// The version that is to be replaced, 0 for none: with another one nothing is written. Default: whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Who says so; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Body of `DELETE /v1/items`. The log keeps every version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteItem {
    /// What it belongs to; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Where it is.
    #[schemars(length(min = 1, max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace: Vec<String>,
    /// What it is called there.
    #[schemars(length(min = 1, max = ITEM_KEY_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub key: String,
    /// The version that is to be deleted: with another one nothing is written. Default: whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Who says so; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Answer to both: the event is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemWritten {
    /// The item's version from now on: the sequence number of the event. It grows and is never given again.
    pub version: u64,
    /// Id of the event, 32 hex digits.
    pub id: String,
    /// Hash of the event, 64 hex digits.
    pub hash: String,
}

/// An item as it is, or was.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ItemView {
    /// Where it is.
    pub namespace: Vec<String>,
    /// What it is called there.
    pub key: String,
    /// Exactly the bytes that were put.
    pub value: Box<RawValue>,
    /// Sequence number of the event it comes from.
    pub version: u64,
    /// Id of that event.
    pub id: String,
    /// Hash of that event.
    pub hash: String,
    /// When it was first put, after it was last deleted. In whole microseconds, as all times here.
    pub created_at: Timestamp,
    /// When this version was put.
    pub updated_at: Timestamp,
    /// First moment at which it is not there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How well it fits the words of a search, 0 to 1, higher is better; absent without words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Body of `POST /v1/items/search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchItems {
    /// What they belong to; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Namespaces that begin with these segments; default all.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace_prefix: Vec<String>,
    /// Conditions on fields of the value: `{"field": value}` or `{"field": {"$gt": 1}}`, with `$eq`, `$ne`, `$gt`, `$gte`,
    /// `$lt` and `$lte`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<serde_json::Map<String, serde_json::Value>>,
    /// What is looked for, in words or a sentence: items are found by words and by meaning, best first, some hundreds at most.
    /// Default: all items, the last changed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = QUERY_CHARS_MAX))]
    pub query: Option<String>,
    /// Most items of the answer, 1 to 1,000; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = ITEMS_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Items to leave out at the start; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    pub offset: Option<u32>,
}

/// Answer to `POST /v1/items/search`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ItemsAnswer {
    /// Best first, or last changed first.
    pub items: Vec<ItemView>,
    /// Whether there are more behind these.
    pub more: bool,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
    /// Lanes that took no part, and why. The answer is right as far as it goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// Body of `POST /v1/items/namespaces`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListNamespaces {
    /// What they belong to; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// First segments; `*` stands for any one.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub prefix: Vec<String>,
    /// Last segments; `*` stands for any one.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub suffix: Vec<String>,
    /// Namespaces are cut to this many segments, and each is told once. More than there are change nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_depth: Option<u32>,
    /// Most namespaces of the answer, 1 to 1,000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = ITEMS_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Namespaces to leave out at the start; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    pub offset: Option<u32>,
}

/// Answer to `POST /v1/items/namespaces`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespacesAnswer {
    /// Those that have items now, in alphabetical order.
    pub namespaces: Vec<Vec<String>>,
    /// Whether there are more behind these.
    pub more: bool,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
}

/// Answer to `GET /v1/items/versions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemVersions {
    /// Latest first. Those that were forgotten are not among them.
    pub versions: Vec<ItemVersion>,
    /// Whether there are more behind these.
    pub more: bool,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
}

/// One version of an item; `GET /v1/items` with `known_at` of the same number reads its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemVersion {
    /// Sequence number of its event.
    pub version: u64,
    /// Id of its event: what has to be forgotten for the version to be gone.
    pub id: String,
    /// Hash of its event.
    pub hash: String,
    /// When the engine accepted it.
    pub time: Timestamp,
    /// Whether the item was deleted then.
    pub deleted: bool,
    /// First moment at which it was not there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}
