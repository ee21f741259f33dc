//! Parameters, schemas and responses that several operations share.

use engine_core::limits::{
    IDEMPOTENCY_KEY_CHARS_MAX, ITEM_KEY_CHARS_MAX, ITEM_SEGMENT_CHARS_MAX, ITEM_SEGMENTS_MAX, NAME_CHARS_MAX,
    QUERY_CHARS_MAX, SEARCH_OFFSET_MAX, TAG_CHARS_MAX, TAGS_MAX,
};
use engine_core::wire::patterns::{ID_PATTERN, NAME_PATTERN, TEXT_PATTERN};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::super::operation::{Answer, Body, Parameter, RequestBody};
use crate::operations::SEQ_MAX;

/// The id that is used in examples. No event has this id.
pub(in super::super) const EXAMPLE_ID: &str = "0123456789abcdef0123456789abcdef";

/// A reference to the schema of a type.
pub(super) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

pub(super) const fn body<T: JsonSchema>(example: fn() -> Value) -> Option<RequestBody> {
    Some(RequestBody { schema: of::<T>, example })
}

pub(super) const fn ok<T: JsonSchema>(description: &'static str) -> Answer {
    Answer { status: 200, description, body: Body::Json(of::<T>) }
}

/// The response to a new write.
pub(super) const fn written<T: JsonSchema>(description: &'static str) -> Answer {
    Answer { status: 201, description, body: Body::Json(of::<T>) }
}

/// The response to a write that was done before with the same key.
pub(super) const fn again<T: JsonSchema>() -> Answer {
    ok::<T>("Done before with the same key")
}

/// The response to a write of the graph that changed nothing.
pub(super) const fn settled<T: JsonSchema>() -> Answer {
    ok::<T>("Nothing to change, or done before with the same key")
}

pub(super) const fn nothing(description: &'static str) -> Answer {
    Answer { status: 204, description, body: Body::None }
}

pub(super) fn seq() -> Value {
    json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": SEQ_MAX })
}

/// An optional parameter of the query string.
pub(super) const fn query(
    name: &'static str,
    description: &'static str,
    schema: fn() -> Value,
    example: fn() -> Value,
) -> Parameter {
    Parameter { name, place: "query", required: false, description, schema, example }
}

/// A required parameter of the query string.
pub(super) const fn needed(
    name: &'static str,
    description: &'static str,
    schema: fn() -> Value,
    example: fn() -> Value,
) -> Parameter {
    Parameter { name, place: "query", required: true, description, schema, example }
}

pub(super) const TAGS_ANY: Parameter = query(
    "tags_any",
    "Only memories with at least one of these tags, compared exactly; repeat the parameter for each tag.",
    tags,
    || json!(["colour"]),
);
pub(super) const TAGS_ALL: Parameter = query(
    "tags_all",
    "Only memories with all of these tags; repeat the parameter for each tag.",
    tags,
    || json!(["colour"]),
);

fn tags() -> Value {
    json!({
        "type": "array", "maxItems": TAGS_MAX,
        "items": { "type": "string", "minLength": 1, "maxLength": TAG_CHARS_MAX, "pattern": NAME_PATTERN },
    })
}

/// Schema of a name.
pub(super) fn named() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": NAME_PATTERN })
}

/// Schema of a required question.
pub(super) fn question() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": QUERY_CHARS_MAX, "pattern": TEXT_PATTERN })
}

pub(super) const KEY: Parameter = Parameter {
    name: "Idempotency-Key",
    place: "header",
    required: false,
    description: "Makes a retry safe: the same request with the same key is done once, for as long as the log exists.",
    schema: || json!({ "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX, "pattern": "^[ -~]+$" }),
    example: || json!("order-66"),
};

/// Header with the project, for clients whose requests have no field for it.
pub(super) const PROJECT_HEADER: Parameter = Parameter {
    name: "x-memory-project",
    place: "header",
    required: false,
    description: "The project it belongs to; default `default`.",
    schema: || json!({ "type": "string", "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": "^[ -~]*[!-~][ -~]*$" }),
    example: || json!("kitchen"),
};

pub(super) const ID: Parameter = Parameter {
    name: "id",
    place: "path",
    required: true,
    description: "Id of the memory.",
    schema: || json!({ "type": "string", "pattern": ID_PATTERN }),
    example: || json!(EXAMPLE_ID),
};

pub(super) const PROJECT: Parameter =
    query("project", "The project; default `default`.", named, || json!("kitchen"));
pub(super) const OF_PROJECT: Parameter = query("project", "Only this project.", named, || json!("kitchen"));
pub(super) const OF_SESSION: Parameter = query("session", "Only this session.", named, || json!("monday"));
pub(super) const OF_TYPE: Parameter = query("type", "Only this type.", named, || json!("fact"));

pub(super) const AS_OF: Parameter = query(
    "as_of",
    "The moment at which it has to be true; default now.",
    || json!({ "type": "string", "format": "date-time" }),
    || json!("2026-01-31T12:00:00Z"),
);
pub(super) const KNOWN_AT: Parameter = query(
    "known_at",
    "The state of the log to read: as known at this time, or after the event with this sequence number; default now.",
    || json!({ "anyOf": [{ "type": "string", "format": "date-time" }, seq()] }),
    || json!("2026-01-31T12:00:00Z"),
);
pub(super) const MIN_SEQ: Parameter = query(
    "min_seq",
    "Sequence number of the event up to which the answer must include everything; default: everything that was durable when the request arrived.",
    seq,
    || json!(0),
);
pub(super) const OFFSET: Parameter = query(
    "offset",
    "Number of results to skip.",
    || json!({ "type": "integer", "minimum": 0, "maximum": SEARCH_OFFSET_MAX, "default": 0 }),
    || json!(0),
);

/// Namespace of an item, with full stops between the segments.
pub(super) const NAMESPACE: Parameter = needed(
    "namespace",
    "Namespace of the item: 1 to 8 segments, separated by full stops.",
    || {
        let longest = ITEM_SEGMENTS_MAX * (ITEM_SEGMENT_CHARS_MAX + 1) - 1;
        json!({ "type": "string", "minLength": 1, "maxLength": longest, "pattern": NAME_PATTERN })
    },
    || json!("users.ana"),
);
pub(super) const ITEM_KEY: Parameter = needed(
    "key",
    "Key of the item in its namespace.",
    || json!({ "type": "string", "minLength": 1, "maxLength": ITEM_KEY_CHARS_MAX, "pattern": NAME_PATTERN }),
    || json!("likes"),
);
