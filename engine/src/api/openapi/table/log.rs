//! Operations on the log: append, replay, checkpoints and proofs.

use engine_core::limits::{EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX};
use engine_core::wire::{
    AppendEvents, Appended, ConsistencyAnswer, ErrorCode, EventPage, InclusionAnswer, LogHead,
};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::super::operation::{
    ANY, Answer, BODY, Body, CHECKED, LOG, Operation, Parameter, REMEMBERS, WRITE,
};
use super::parameters::{KEY, OF_PROJECT, OF_SESSION, OF_TYPE, again, body, ok, query, seq, written};
use crate::operations::SEQ_MAX;

/// Listed in the order of the user guide.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        path: "/v1/events",
        id: "appendEvents",
        tag: "log",
        summary: "Append events",
        description: "Makes a batch of events durable, all or none.",
        parameters: &[KEY],
        body: body::<AppendEvents>(events),
        answers: &[written::<Appended>("Appended"), again::<Appended>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE],
    },
    Operation {
        method: "get",
        path: "/v1/events",
        id: "replayEvents",
        tag: "log",
        summary: "Replay events",
        description: "A page of events, in log order. A page may end early to limit its size. To read on, send as `after` its `next_after`, or else the sequence number of its last event.",
        parameters: &[
            query("after", "Start after this sequence number.", seq, || json!(0)),
            query(
                "limit",
                "Maximum number of events.",
                || json!({ "type": "integer", "minimum": 1, "maximum": EVENTS_LIMIT_MAX, "default": EVENTS_LIMIT_DEFAULT }),
                || json!(10),
            ),
            OF_PROJECT,
            OF_SESSION,
            OF_TYPE,
        ],
        body: None,
        answers: &[ok::<EventPage>("The page")],
        refused_by: &[ANY, REMEMBERS, CHECKED, LOG],
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
        answers: &[ok::<LogHead>("The head")],
        refused_by: &[ANY, LOG],
    },
    Operation {
        method: "get",
        path: "/v1/log/checkpoint",
        id: "readCheckpoint",
        tag: "log",
        summary: "A signed checkpoint",
        description: "A checkpoint for the head, in the C2SP format, signed as a C2SP note.",
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
        description: "Proves that the event is in the log, unchanged. Verify it with the verifier key.",
        parameters: &[SEQ],
        body: None,
        answers: &[ok::<InclusionAnswer>("The receipt")],
        refused_by: &[ANY, CHECKED, LOG, &[ErrorCode::EntryNotFound]],
    },
    Operation {
        method: "get",
        path: "/v1/log/consistency",
        id: "proveConsistency",
        tag: "log",
        summary: "Proof that the log only grew",
        description: "Proves that the log at size `to` extends the log at size `from`.",
        parameters: &[
            query("from", "Size of the older tree; at most `to`, default 0.", seq, || json!(0)),
            query("to", "Size of the newer tree; default: the current size.", seq, || json!(0)),
        ],
        body: None,
        answers: &[ok::<ConsistencyAnswer>("The proof")],
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

const SEQ: Parameter = Parameter {
    name: "seq",
    place: "path",
    required: true,
    description: "Sequence number of the event.",
    schema: || json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": SEQ_MAX }),
    example: || json!(1),
};

fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

fn events() -> Value {
    json!({ "events": [{ "type": "task.proposed", "actor": "planner", "payload": { "task": "paint the kettle" } }] })
}
