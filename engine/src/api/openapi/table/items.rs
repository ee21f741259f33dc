//! Operations on items: values under a namespace and a key.

use engine_core::limits::{ITEM_LISTS_LIMIT_DEFAULT, ITEMS_LIMIT_MAX};
use engine_core::wire::{
    DeleteItem, ErrorCode, ItemVersions, ItemView, ItemWritten, ItemsAnswer, ListNamespaces,
    NamespacesAnswer, PutItem, SearchItems,
};
use serde_json::{Value, json};

use super::super::operation::{ANY, BODY, CHECKED, Operation, READ, REMEMBERS, WRITE};
use super::parameters::{
    ITEM_KEY, KEY, KNOWN_AT, MIN_SEQ, NAMESPACE, OFFSET, PROJECT, again, body, ok, query, written,
};

/// Listed in the order of the user guide.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "put",
        path: "/v1/items",
        id: "putItem",
        tag: "items",
        summary: "Put an item",
        description: "Writes a new version of an item; creates the item if there is none.",
        parameters: &[KEY],
        body: body::<PutItem>(item),
        answers: &[written::<ItemWritten>("Put"), again::<ItemWritten>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ, &[ErrorCode::VersionConflict]],
    },
    Operation {
        method: "get",
        path: "/v1/items",
        id: "readItem",
        tag: "items",
        summary: "Read an item",
        description: "Reads an item as it is, or as it was known at another moment.",
        parameters: &[PROJECT, NAMESPACE, ITEM_KEY, KNOWN_AT, MIN_SEQ],
        body: None,
        answers: &[ok::<ItemView>("The item")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ, &[ErrorCode::ItemNotFound]],
    },
    Operation {
        method: "delete",
        path: "/v1/items",
        id: "deleteItem",
        tag: "items",
        summary: "Delete an item",
        description: "Deletes an item; the log keeps every version.",
        parameters: &[KEY],
        body: body::<DeleteItem>(place),
        answers: &[written::<ItemWritten>("Deleted"), again::<ItemWritten>()],
        refused_by: &[
            ANY,
            CHECKED,
            BODY,
            WRITE,
            READ,
            &[ErrorCode::ItemNotFound, ErrorCode::VersionConflict],
        ],
    },
    Operation {
        method: "get",
        path: "/v1/items/versions",
        id: "listVersions",
        tag: "items",
        summary: "Versions of an item",
        description: "Versions of an item, latest first, including deletions. Forgotten versions are not listed.",
        parameters: &[
            PROJECT,
            NAMESPACE,
            ITEM_KEY,
            query(
                "limit",
                "Maximum number of versions.",
                || json!({ "type": "integer", "minimum": 1, "maximum": ITEMS_LIMIT_MAX, "default": ITEM_LISTS_LIMIT_DEFAULT }),
                || json!(10),
            ),
            OFFSET,
            MIN_SEQ,
        ],
        body: None,
        answers: &[ok::<ItemVersions>("The versions")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ, &[ErrorCode::ItemNotFound]],
    },
    Operation {
        method: "post",
        path: "/v1/items/search",
        id: "searchItems",
        tag: "items",
        summary: "Search items",
        description: "Finds items below a namespace, by conditions on their fields and by words.",
        parameters: &[],
        body: body::<SearchItems>(search),
        answers: &[ok::<ItemsAnswer>("The items found")],
        refused_by: &[ANY, REMEMBERS, CHECKED, BODY, READ, &[ErrorCode::AnswerTooLarge]],
    },
    Operation {
        method: "post",
        path: "/v1/items/namespaces",
        id: "listNamespaces",
        tag: "items",
        summary: "List namespaces",
        description: "Lists the namespaces that have items now.",
        parameters: &[],
        body: body::<ListNamespaces>(namespaces),
        answers: &[ok::<NamespacesAnswer>("The namespaces")],
        refused_by: &[ANY, REMEMBERS, CHECKED, BODY, READ],
    },
];

fn item() -> Value {
    json!({ "project": "kitchen", "namespace": ["users", "ana"], "key": "likes", "value": { "food": "pizza" } })
}

fn place() -> Value {
    json!({ "project": "kitchen", "namespace": ["users", "ana"], "key": "likes" })
}

fn search() -> Value {
    json!({ "project": "kitchen", "namespace_prefix": ["users"], "filter": { "food": "pizza" }, "query": "pizza" })
}

fn namespaces() -> Value {
    json!({ "project": "kitchen", "prefix": ["users"], "max_depth": 2 })
}
