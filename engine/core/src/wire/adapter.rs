//! What clients of other products send, and expect to be answered.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::patterns::{NAME_PATTERN, SEGMENT_PATTERN};
use crate::limits::{
    ITEM_FIELD_CHARS_MAX, ITEM_INDEX_FIELDS_MAX, ITEM_KEY_CHARS_MAX, ITEM_SEGMENT_CHARS_MAX,
    ITEM_SEGMENTS_MAX, ITEMS_LIMIT_MAX, QUERY_CHARS_MAX, SEARCH_OFFSET_MAX, STORE_TTL_MINUTES_MAX,
};

/// Body of `PUT /store/items`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorePut {
    /// Where it is, from the outside in.
    #[schemars(length(min = 1, max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace: Vec<String>,
    /// What it is called there.
    #[schemars(length(min = 1, max = ITEM_KEY_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub key: String,
    /// A JSON object.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub value: Box<RawValue>,
    /// What it is found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<StoreIndex>,
    /// Minutes after which it is not there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = STORE_TTL_MINUTES_MAX), extend("exclusiveMinimum" = 0))]
    pub ttl: Option<f64>,
}

/// What an item is found by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StoreIndex {
    /// `false`: nothing.
    Switch(bool),
    /// The words of these fields.
    Fields(
        #[schemars(length(max = ITEM_INDEX_FIELDS_MAX), inner(length(min = 1, max = ITEM_FIELD_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
         Vec<String>,
    ),
}

/// Body of `DELETE /store/items`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreDelete {
    /// Where it is.
    #[schemars(length(min = 1, max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace: Vec<String>,
    /// What it is called there.
    #[schemars(length(min = 1, max = ITEM_KEY_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub key: String,
}

/// Body of `POST /store/items/search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSearch {
    /// Namespaces that begin with these segments.
    #[serde(deserialize_with = "super::object::or_default", default)]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace_prefix: Vec<String>,
    /// Conditions on fields of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<serde_json::Map<String, serde_json::Value>>,
    /// Most items of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = ITEMS_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Items to leave out at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    pub offset: Option<u32>,
    /// Words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = QUERY_CHARS_MAX))]
    pub query: Option<String>,
    /// Whether what is found gets its time to live anew; default true, as in LangGraph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_ttl: Option<bool>,
}

/// An item in an answer of `/store`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StoreItem {
    /// Where it is.
    pub namespace: Vec<String>,
    /// What it is called there.
    pub key: String,
    /// As it was put.
    pub value: Box<RawValue>,
    /// When it was first put.
    pub created_at: Timestamp,
    /// When it was last put.
    pub updated_at: Timestamp,
    /// How well it fits the words of a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Answer to `POST /store/items/search`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StoreItems {
    /// Best first.
    pub items: Vec<StoreItem>,
}

/// Body of `POST /store/namespaces`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreNamespaces {
    /// First segments; `*` stands for any one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub prefix: Option<Vec<String>>,
    /// Last segments; `*` stands for any one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub suffix: Option<Vec<String>>,
    /// Namespaces are cut to this many segments; more than there are change nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_depth: Option<u32>,
    /// Most namespaces of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = ITEMS_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Namespaces to leave out at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    pub offset: Option<u32>,
}

/// Body of `POST /v1/adapters/anthropic-memory`: one command of the memory tool `memory_20250818`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum MemoryToolCommand {
    /// Shows a file, or what is in a directory.
    View {
        /// Below `/memories`.
        path: String,
        /// First and last line, from 1; -1 is the end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        view_range: Option<Vec<i64>>,
    },
    /// Makes a file.
    Create {
        /// Below `/memories`.
        path: String,
        /// All of it.
        file_text: String,
    },
    /// Replaces a text that occurs once.
    StrReplace {
        /// Below `/memories`.
        path: String,
        /// What is there.
        old_str: String,
        /// What is to be there; default nothing.
        #[serde(default)]
        new_str: String,
    },
    /// Puts a text behind a line.
    Insert {
        /// Below `/memories`.
        path: String,
        /// Behind which line; 0 is the start.
        insert_line: i64,
        /// The text.
        insert_text: String,
    },
    /// Deletes a file, or a directory with all that is in it.
    Delete {
        /// Below `/memories`.
        path: String,
    },
    /// Moves a file, or a directory with all that is in it.
    Rename {
        /// Below `/memories`.
        old_path: String,
        /// Below `/memories`; nothing may be there.
        new_path: String,
    },
}

/// Answer to `POST /v1/adapters/anthropic-memory`, with status 200 in both cases: the model is to read either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryToolAnswer {
    /// For the model.
    pub content: String,
    /// Whether the command failed.
    pub is_error: bool,
}
