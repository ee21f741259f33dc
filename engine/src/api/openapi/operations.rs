//! The table: every operation of the clients' port but `/mcp`, which describes itself to its clients.

use engine_core::limits::{
    EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX, IDEMPOTENCY_KEY_CHARS_MAX, NAME_CHARS_MAX, QUERY_CHARS_MAX,
    SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN, SEARCH_OFFSET_MAX,
};
use engine_core::wire::patterns::{ID_PATTERN, NAME_PATTERN};
use engine_core::wire::{
    AppendEvents, Appended, ConsistencyAnswer, ErrorCode, EventPage, InclusionAnswer, InvalidateMemory,
    LogHead, MemoryView, SaveMemory, Saved, SearchAnswer,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::operation::{
    ANY, Answer, BODY, Body, CHECKED, LOG, Operation, Parameter, READ, RequestBody, WRITE,
};
use crate::operations::SEQ_MAX;

/// All of them, by path.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        path: "/v1/memories",
        id: "saveMemory",
        tag: "memories",
        summary: "Save a memory",
        description: "Makes a memory durable. It is on the disk when this answers.",
        parameters: &[KEY],
        body: Some(RequestBody { schema: of::<SaveMemory>, example: memory }),
        answers: &[
            Answer { status: 201, description: "Saved", body: Body::Json(of::<Saved>) },
            Answer { status: 200, description: "Saved before with this key", body: Body::Json(of::<Saved>) },
        ],
        refused_by: &[ANY, CHECKED, BODY, WRITE],
    },
    Operation {
        method: "get",
        path: "/v1/memories/{id}",
        id: "readMemory",
        tag: "memories",
        summary: "Read a memory",
        description: "Reads one memory as it was true at a moment, now if nothing is said.",
        parameters: &[ID, AS_OF, KNOWN_AT, MIN_SEQ],
        body: None,
        answers: &[Answer { status: 200, description: "The memory", body: Body::Json(of::<MemoryView>) }],
        refused_by: &[ANY, CHECKED, READ, &[ErrorCode::EntryNotFound, ErrorCode::EntryNotValid]],
    },
    Operation {
        method: "post",
        path: "/v1/memories/{id}/invalidate",
        id: "invalidateMemory",
        tag: "memories",
        summary: "End a memory's validity",
        description: "Says that a memory is true no longer. It stays in the log and can be read as of the time it was true.",
        parameters: &[ID, KEY],
        body: Some(RequestBody { schema: of::<InvalidateMemory>, example: end }),
        answers: &[
            Answer { status: 201, description: "Ended", body: Body::Json(of::<Saved>) },
            Answer { status: 200, description: "Ended before with this key", body: Body::Json(of::<Saved>) },
        ],
        refused_by: &[
            ANY,
            CHECKED,
            BODY,
            WRITE,
            READ,
            &[ErrorCode::EntryNotFound, ErrorCode::AlreadyInvalidated],
        ],
    },
    Operation {
        method: "get",
        path: "/v1/search",
        id: "searchMemories",
        tag: "memories",
        summary: "Search memories",
        description: "Finds memories by their words, best first; without words it lists the newest.",
        parameters: &[
            Parameter {
                name: "q",
                place: "query",
                description: "Words that must all occur. Nothing in it is an operator.",
                schema: || json!({ "type": "string", "maxLength": QUERY_CHARS_MAX }),
                example: || json!("blue kettle"),
            },
            name("project", "Only memories of this project.", || json!("kitchen")),
            name("type", "Only memories of this type.", || json!("fact")),
            Parameter {
                name: "limit",
                place: "query",
                description: "How many at most.",
                schema: || {
                    json!({
                        "type": "integer", "minimum": SEARCH_LIMIT_MIN, "maximum": SEARCH_LIMIT_MAX,
                        "default": SEARCH_LIMIT_DEFAULT,
                    })
                },
                example: || json!(10),
            },
            Parameter {
                name: "offset",
                place: "query",
                description: "How many to skip.",
                schema: || json!({ "type": "integer", "minimum": 0, "maximum": SEARCH_OFFSET_MAX, "default": 0 }),
                example: || json!(0),
            },
            AS_OF,
            KNOWN_AT,
            MIN_SEQ,
        ],
        body: None,
        answers: &[Answer {
            status: 200,
            description: "What was found",
            body: Body::Json(of::<SearchAnswer>),
        }],
        refused_by: &[ANY, CHECKED, READ],
    },
    Operation {
        method: "post",
        path: "/v1/events",
        id: "appendEvents",
        tag: "log",
        summary: "Append events",
        description: "Makes a batch of events durable, all or none.",
        parameters: &[KEY],
        body: Some(RequestBody { schema: of::<AppendEvents>, example: events }),
        answers: &[
            Answer { status: 201, description: "Appended", body: Body::Json(of::<Appended>) },
            Answer {
                status: 200,
                description: "Appended before with this key",
                body: Body::Json(of::<Appended>),
            },
        ],
        refused_by: &[ANY, CHECKED, BODY, WRITE],
    },
    Operation {
        method: "get",
        path: "/v1/events",
        id: "replayEvents",
        tag: "log",
        summary: "Replay events",
        description: "A page of the log in order. A page may end early to bound its size; its last number goes on as `after`.",
        parameters: &[
            Parameter {
                name: "after",
                place: "query",
                description: "Start after this sequence number.",
                schema: seq,
                example: || json!(0),
            },
            Parameter {
                name: "limit",
                place: "query",
                description: "How many at most.",
                schema: || {
                    json!({
                        "type": "integer", "minimum": 1, "maximum": EVENTS_LIMIT_MAX, "default": EVENTS_LIMIT_DEFAULT,
                    })
                },
                example: || json!(100),
            },
        ],
        body: None,
        answers: &[Answer { status: 200, description: "The page", body: Body::Json(of::<EventPage>) }],
        refused_by: &[ANY, CHECKED, LOG],
    },
    Operation {
        method: "get",
        path: "/v1/log/head",
        id: "readHead",
        tag: "log",
        summary: "The head of the log",
        description: "The last durable event.",
        parameters: &[],
        body: None,
        answers: &[Answer { status: 200, description: "The head", body: Body::Json(of::<LogHead>) }],
        refused_by: &[ANY, LOG],
    },
    Operation {
        method: "get",
        path: "/v1/log/checkpoint",
        id: "readCheckpoint",
        tag: "log",
        summary: "A signed checkpoint",
        description: "A checkpoint for the head in the form of C2SP, signed as a C2SP note.",
        parameters: &[],
        body: None,
        answers: &[Answer { status: 200, description: "The signed note", body: Body::Text }],
        refused_by: &[ANY, LOG],
    },
    Operation {
        method: "get",
        path: "/v1/log/proof/{seq}",
        id: "proveInclusion",
        tag: "log",
        summary: "A receipt for an event",
        description: "Proves to whoever holds the verifier key that the event is in the log, unchanged.",
        parameters: &[Parameter {
            name: "seq",
            place: "path",
            description: "Sequence number of the event.",
            schema: || json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": SEQ_MAX }),
            example: || json!(1),
        }],
        body: None,
        answers: &[Answer {
            status: 200,
            description: "The receipt",
            body: Body::Json(of::<InclusionAnswer>),
        }],
        refused_by: &[ANY, CHECKED, LOG, &[ErrorCode::EntryNotFound]],
    },
    Operation {
        method: "get",
        path: "/v1/log/consistency",
        id: "proveConsistency",
        tag: "log",
        summary: "Proof that the log only grew",
        description: "Proves that the log of one size goes on from the log of another.",
        parameters: &[
            size("from", "Size of the older tree; at most `to`, default 0."),
            size("to", "Size of the newer tree; default: what there is."),
        ],
        body: None,
        answers: &[Answer {
            status: 200,
            description: "The proof",
            body: Body::Json(of::<ConsistencyAnswer>),
        }],
        refused_by: &[ANY, CHECKED, LOG],
    },
    Operation {
        method: "get",
        path: "/v1/openapi.json",
        id: "describeApi",
        tag: "description",
        summary: "This document",
        description: "This document.",
        parameters: &[],
        body: None,
        answers: &[Answer { status: 200, description: "OpenAPI 3.1", body: Body::Json(anything) }],
        refused_by: &[ANY],
    },
];

/// Refers to the schema of a type.
fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

fn seq() -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": SEQ_MAX })
}

const fn size(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: "query", description, schema: seq, example: || json!(0) }
}

const fn name(name: &'static str, description: &'static str, example: fn() -> Value) -> Parameter {
    let schema =
        || json!({ "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": NAME_PATTERN });
    Parameter { name, place: "query", description, schema, example }
}

const KEY: Parameter = Parameter {
    name: "Idempotency-Key",
    place: "header",
    description: "Makes a repetition safe: the same request with the same key is done once, for as long as the log exists.",
    schema: || json!({ "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX, "pattern": "^[ -~]+$" }),
    example: || json!("order-66"),
};

const ID: Parameter = Parameter {
    name: "id",
    place: "path",
    description: "Id of the memory.",
    schema: || json!({ "type": "string", "pattern": ID_PATTERN }),
    example: || json!("0123456789abcdef0123456789abcdef"),
};

const AS_OF: Parameter = Parameter {
    name: "as_of",
    place: "query",
    description: "True at this moment; default now.",
    schema: || json!({ "type": "string", "format": "date-time" }),
    example: || json!("2026-01-31T12:00:00Z"),
};

const KNOWN_AT: Parameter = Parameter {
    name: "known_at",
    place: "query",
    description: "Known at this moment, or after the event of this sequence number; default now.",
    schema: || json!({ "anyOf": [{ "type": "string", "format": "date-time" }, seq()] }),
    example: || json!("2026-01-31T12:00:00Z"),
};

const MIN_SEQ: Parameter = Parameter {
    name: "min_seq",
    place: "query",
    description: "Answer only once everything up to this event can be read; default: all that was durable when the request came.",
    schema: seq,
    example: || json!(0),
};

fn memory() -> Value {
    json!({
        "content": "The kettle in the small kitchen is blue.", "title": "Kettle", "project": "kitchen", "type": "fact",
        "tags": ["colour"], "occurred_at": "2026-01-31T12:00:00Z",
    })
}

fn end() -> Value {
    json!({ "reason": "it was painted" })
}

fn events() -> Value {
    json!({ "events": [{ "type": "task.proposed", "actor": "planner", "payload": { "task": "paint the kettle" } }] })
}
