//! Operations for clients of other products.

use engine_core::wire::{
    ErrorCode, MemoryToolAnswer, MemoryToolCommand, StoreDelete, StoreItem, StoreItems, StoreNamespaces,
    StorePut, StoreSearch,
};
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::super::operation::{
    ANY, BODY, CHECKED, Operation, Parameter, READ, REMEMBERS, RequestBody, WRITE,
};
use super::parameters::{ITEM_KEY, KEY, NAMESPACE, PROJECT_HEADER, body, nothing, ok, query};
use crate::api::adapters::Namespaces;

/// Listed in the order of the user guide.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        path: "/v1/adapters/anthropic-memory",
        id: "useMemoryTool",
        tag: "clients",
        summary: "Run a command of the memory tool",
        description: "Runs one command of the tool `memory_20250818`. A refused command, and an object that is not a command, gets an answer with `is_error` that tells the model why.",
        parameters: &[PROJECT_HEADER],
        body: Some(RequestBody { schema: command_or_any, example: command }),
        answers: &[ok::<MemoryToolAnswer>("A text for the model")],
        refused_by: &[ANY, REMEMBERS, CHECKED, BODY, WRITE, READ],
    },
    Operation {
        method: "put",
        path: "/store/items",
        id: "putStoreItem",
        tag: "clients",
        summary: "Put an item",
        description: "Compatible with the store of LangGraph.",
        parameters: &[PROJECT_HEADER, KEY],
        body: body::<StorePut>(item),
        answers: &[nothing("Put")],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ],
    },
    Operation {
        method: "get",
        path: "/store/items",
        id: "readStoreItem",
        tag: "clients",
        summary: "Read an item",
        description: "Compatible with the store of LangGraph.",
        parameters: &[PROJECT_HEADER, NAMESPACE, ITEM_KEY, REFRESH],
        body: None,
        answers: &[ok::<Option<StoreItem>>("The item; null if there is none")],
        refused_by: &[ANY, REMEMBERS, CHECKED, WRITE, READ],
    },
    Operation {
        method: "delete",
        path: "/store/items",
        id: "deleteStoreItem",
        tag: "clients",
        summary: "Delete an item",
        description: "Compatible with the store of LangGraph.",
        parameters: &[PROJECT_HEADER, KEY],
        body: body::<StoreDelete>(place),
        answers: &[nothing("Deleted, or there was no such item")],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ],
    },
    Operation {
        method: "post",
        path: "/store/items/search",
        id: "searchStoreItems",
        tag: "clients",
        summary: "Search items",
        description: "Compatible with the store of LangGraph.",
        parameters: &[PROJECT_HEADER],
        body: body::<StoreSearch>(search),
        answers: &[ok::<StoreItems>("The items found")],
        refused_by: &[ANY, REMEMBERS, CHECKED, BODY, WRITE, READ, &[ErrorCode::AnswerTooLarge]],
    },
    Operation {
        method: "post",
        path: "/store/namespaces",
        id: "listStoreNamespaces",
        tag: "clients",
        summary: "List namespaces",
        description: "Compatible with the store of LangGraph.",
        parameters: &[PROJECT_HEADER],
        body: body::<StoreNamespaces>(namespaces),
        answers: &[ok::<Namespaces>("The namespaces")],
        refused_by: &[ANY, REMEMBERS, CHECKED, BODY, READ],
    },
];

const REFRESH: Parameter = query(
    "refresh_ttl",
    "`true` (the default) restarts the time to live of the item, `false` does not.",
    || json!({ "type": "string" }),
    || json!("false"),
);

/// Schema of the body: a command, or any other object, because any object gets a response.
fn command_or_any(schemas: &mut SchemaGenerator) -> Schema {
    let command = schemas.subschema_for::<MemoryToolCommand>();
    schemars::json_schema!({ "anyOf": [command, { "type": "object" }] })
}

fn command() -> Value {
    json!({ "command": "view", "path": "/memories" })
}

fn item() -> Value {
    json!({ "namespace": ["users", "ana"], "key": "meals", "value": { "food": "pizza" }, "index": ["food"] })
}

fn place() -> Value {
    json!({ "namespace": ["users", "ana"], "key": "meals" })
}

fn search() -> Value {
    json!({ "namespace_prefix": ["users"], "filter": { "food": "pizza" }, "limit": 5 })
}

fn namespaces() -> Value {
    json!({ "prefix": ["users"], "max_depth": 2 })
}
