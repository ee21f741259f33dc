//! Requests and responses in the shapes that clients of other products use: a LangGraph store and Anthropic's memory
//! tool.

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
    /// Namespace of the item, from the outermost segment to the innermost: 1 to 8 segments without full stops.
    #[schemars(length(min = 1, max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace: Vec<String>,
    /// Key of the item in its namespace, 1 to 512 characters.
    #[schemars(length(min = 1, max = ITEM_KEY_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub key: String,
    /// The value, a JSON object.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub value: Box<RawValue>,
    /// Fields of the value that full-text search indexes; default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<StoreIndex>,
    /// Time to live, minutes: more than 0, at most 52,596,000 (a hundred years). Default: the item does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = STORE_TTL_MINUTES_MAX), extend("exclusiveMinimum" = 0))]
    pub ttl: Option<f64>,
}

/// Which fields of a value are indexed for search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StoreIndex {
    /// `false`: none.
    Switch(bool),
    /// Only these fields, at most 32 paths such as `author.name`.
    Fields(
        #[schemars(length(max = ITEM_INDEX_FIELDS_MAX), inner(length(min = 1, max = ITEM_FIELD_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
         Vec<String>,
    ),
}

/// Body of `DELETE /store/items`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreDelete {
    /// Namespace of the item, from the outermost segment to the innermost.
    #[schemars(length(min = 1, max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace: Vec<String>,
    /// Key of the item in its namespace.
    #[schemars(length(min = 1, max = ITEM_KEY_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub key: String,
}

/// Body of `POST /store/items/search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSearch {
    /// Only items whose namespace begins with these segments; default all.
    #[serde(deserialize_with = "super::object::or_default", default)]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub namespace_prefix: Vec<String>,
    /// Conditions on fields of the value, as in `POST /v1/items/search`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<serde_json::Map<String, serde_json::Value>>,
    /// Most items to return, 1 to 1,000; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = ITEMS_LIMIT_MAX))]
    pub limit: Option<u32>,
    /// Items to skip at the start; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = SEARCH_OFFSET_MAX))]
    pub offset: Option<u32>,
    /// Search text. Default: no text search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = QUERY_CHARS_MAX))]
    pub query: Option<String>,
    /// Whether the items found get their full time to live again; default true, as in LangGraph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_ttl: Option<bool>,
}

/// An item in an answer of `/store`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StoreItem {
    /// Namespace of the item, from the outermost segment to the innermost.
    pub namespace: Vec<String>,
    /// Key of the item in its namespace.
    pub key: String,
    /// The value as it was put.
    pub value: Box<RawValue>,
    /// When the item was first put. RFC 3339.
    pub created_at: Timestamp,
    /// When the item was last put. RFC 3339.
    pub updated_at: Timestamp,
    /// Relevance to the query, 0 to 1, higher is better; absent without a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// Answer to `POST /store/items/search`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StoreItems {
    /// The items found, best first.
    pub items: Vec<StoreItem>,
}

/// Body of `POST /store/namespaces`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreNamespaces {
    /// Only namespaces that begin with these segments; `*` matches any one segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub prefix: Option<Vec<String>>,
    /// Only namespaces that end with these segments; `*` matches any one segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = ITEM_SEGMENTS_MAX), inner(length(min = 1, max = ITEM_SEGMENT_CHARS_MAX), regex(pattern = SEGMENT_PATTERN)))]
    pub suffix: Option<Vec<String>>,
    /// Namespaces are truncated to this many segments; shorter ones are unchanged.
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

/// Body of `POST /v1/adapters/anthropic-memory`: one command of the memory tool `memory_20250818`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum MemoryToolCommand {
    /// Shows a file or lists a directory.
    View {
        /// Path below `/memories`.
        path: String,
        /// First and last line to show, counted from 1; -1 as the last line means the end of the file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        view_range: Option<Vec<i64>>,
    },
    /// Creates a file.
    Create {
        /// Path below `/memories`.
        path: String,
        /// The complete content of the file.
        file_text: String,
    },
    /// Replaces a text that occurs exactly once in a file.
    StrReplace {
        /// Path below `/memories`.
        path: String,
        /// The text to replace.
        old_str: String,
        /// The replacement; default empty.
        #[serde(default)]
        new_str: String,
    },
    /// Inserts a text after a line.
    Insert {
        /// Path below `/memories`.
        path: String,
        /// Number of the line after which the text is inserted; 0 inserts at the start of the file.
        insert_line: i64,
        /// The text to insert.
        insert_text: String,
    },
    /// Deletes a file, or a directory with everything in it.
    Delete {
        /// Path below `/memories`.
        path: String,
    },
    /// Moves a file, or a directory with everything in it.
    Rename {
        /// Current path below `/memories`.
        old_path: String,
        /// New path below `/memories`; must not exist yet.
        new_path: String,
    },
}

/// Answer to `POST /v1/adapters/anthropic-memory`. The status is 200 also when the command failed, because the model is
/// to read the error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryToolAnswer {
    /// Output of the command or an error message, for the model.
    pub content: String,
    /// Whether the command failed.
    pub is_error: bool,
}
