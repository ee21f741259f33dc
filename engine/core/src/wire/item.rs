//! `/v1/items`: JSON values stored under a namespace and a key.

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

/// Body of `PUT /v1/items`: writes a new version of an item and creates the item if it does not exist.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutItem {
    /// Project of the item; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Namespace of the item, from the outermost segment to the innermost: 1 to 8 segments without full stops.
    #[schemars(length(min = 1, max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace: Vec<String>,
    /// Key of the item in its namespace, 1 to 512 characters.
    #[schemars(length(min = 1, max = ITEM_KEY_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub key: String,
    /// Any JSON value up to 1 MiB; kept byte for byte.
    pub value: Box<RawValue>,
    /// First moment at which the item no longer exists; default never. RFC 3339.
    #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Paths of the fields that full-text search indexes, such as `author.name` or `chapters[*].title`; default all. An
    /// empty list: the item is not indexed for text search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ITEM_INDEX_FIELDS_MAX), inner(length(min = 1, max = ITEM_FIELD_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub index: Option<Vec<String>>,
    /// Only write if this is the current version, or 0 if the item must not exist. Default: write unconditionally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
    /// Session in which the item is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Actor that writes the item; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Body of `DELETE /v1/items`. All versions stay in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteItem {
    /// Project of the item; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Namespace of the item, from the outermost segment to the innermost.
    #[schemars(length(min = 1, max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace: Vec<String>,
    /// Key of the item in its namespace.
    #[schemars(length(min = 1, max = ITEM_KEY_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub key: String,
    /// Only delete if this is the current version. Default: delete unconditionally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
    /// Session in which the item is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub session: Option<String>,
    /// Actor that deletes the item; default `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub actor: Option<String>,
}

/// Answer to `PUT /v1/items` and `DELETE /v1/items`. The event is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemWritten {
    /// The new version of the item: the sequence number of the event. Versions only grow and are never reused.
    pub version: u64,
    /// Id of the event, 32 hex digits.
    pub id: String,
    /// Hash of the event, 64 hex digits.
    pub hash: String,
}

/// An item, current or past.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ItemView {
    /// Namespace of the item, from the outermost segment to the innermost.
    pub namespace: Vec<String>,
    /// Key of the item in its namespace.
    pub key: String,
    /// The value, exactly the bytes that were put.
    pub value: Box<RawValue>,
    /// Version: the sequence number of the event that wrote it.
    pub version: u64,
    /// Id of that event.
    pub id: String,
    /// Hash of that event.
    pub hash: String,
    /// When the item was first put since it was last deleted. RFC 3339; like all times of the API, in microseconds.
    pub created_at: Timestamp,
    /// When this version was put.
    pub updated_at: Timestamp,
    /// First moment at which the item no longer exists; absent if it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Relevance to the query, 0 to 1, higher is better; absent without a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Body of `POST /v1/items/search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchItems {
    /// Project of the items; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Only items whose namespace begins with these segments; default all.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace_prefix: Vec<String>,
    /// Conditions on fields of the value: `{"field": value}` or `{"field": {"$gt": 1}}`, with `$eq`, `$ne`, `$gt`,
    /// `$gte`, `$lt` and `$lte`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<serde_json::Map<String, serde_json::Value>>,
    /// Search text, at most 4,096 characters: items are ranked by words and by meaning, best first; a few hundred at
    /// most are found. Default: all items, most recently changed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = QUERY_CHARS_MAX))]
    pub query: Option<String>,
    /// Most items to return, 1 to 1,000; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = ITEMS_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Items to skip at the start; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    pub offset: Option<u32>,
}

/// Answer to `POST /v1/items/search`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ItemsAnswer {
    /// The items: best first with a query, most recently changed first without.
    pub items: Vec<ItemView>,
    /// Whether there are more items after these.
    pub more: bool,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
    /// Retrieval lanes that were not used, and why. The answer is correct, but may miss items that only these lanes
    /// find.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// Body of `POST /v1/items/namespaces`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListNamespaces {
    /// Project of the items; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
    /// Only namespaces that begin with these segments; `*` matches any one segment.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub prefix: Vec<String>,
    /// Only namespaces that end with these segments; `*` matches any one segment.
    #[serde(deserialize_with = "super::object::or_default", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub suffix: Vec<String>,
    /// Truncate namespaces to this many segments and drop duplicates; shorter ones are unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_depth: Option<u32>,
    /// Most namespaces to return, 1 to 1,000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = ITEMS_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Namespaces to skip at the start; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    pub offset: Option<u32>,
}

/// Answer to `POST /v1/items/namespaces`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespacesAnswer {
    /// Namespaces that currently contain items, in alphabetical order.
    pub namespaces: Vec<Vec<String>>,
    /// Whether there are more namespaces after these.
    pub more: bool,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
}

/// Answer to `GET /v1/items/versions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemVersions {
    /// The versions, latest first. Forgotten versions are left out.
    pub versions: Vec<ItemVersion>,
    /// Whether there are more versions after these.
    pub more: bool,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
}

/// One version of an item. `GET /v1/items` with `known_at` set to its number reads its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemVersion {
    /// Version: the sequence number of its event.
    pub version: u64,
    /// Id of its event. Forget this id to erase the version.
    pub id: String,
    /// Hash of its event.
    pub hash: String,
    /// When the engine accepted it.
    pub time: Timestamp,
    /// Whether this version is a deletion of the item.
    pub deleted: bool,
    /// First moment at which the version no longer existed; absent if it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}
