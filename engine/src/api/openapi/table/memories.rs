//! Operations on memories: save, read, find, end and rate.

use engine_core::limits::{TIMELINE_DEFAULT, TIMELINE_MAX};
use engine_core::wire::patterns::ID_PATTERN;
use engine_core::wire::{
    EntriesAnswer, ErrorCode, GetEntries, GiveFeedback, HistoryAnswer, IngestAnswer, IngestDocuments,
    InvalidateMemory, MemoryView, SaveMemories, SaveMemory, Saved, SavedMemories, TimelineAnswer,
};
use serde_json::{Value, json};

use super::super::operation::{ANY, BODY, CHECKED, LOG, Operation, Parameter, READ, REMEMBERS, WRITE};
use super::parameters::{
    AS_OF, EXAMPLE_ID, ID, KEY, KNOWN_AT, MIN_SEQ, OF_PROJECT, OF_SESSION, TAGS_ALL, TAGS_ANY, again, body,
    needed, ok, query, seq, written,
};

/// Listed in the order of the user guide.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        path: "/v1/memories",
        id: "saveMemory",
        tag: "memories",
        summary: "Save a memory",
        description: "Makes a memory durable: it is on the disk when the answer arrives.",
        parameters: &[KEY],
        body: body::<SaveMemory>(memory),
        answers: &[written::<Saved>("Saved"), again::<Saved>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE],
    },
    Operation {
        method: "post",
        path: "/v1/memories/batch",
        id: "saveMemories",
        tag: "memories",
        summary: "Save many memories",
        description: "Makes all of them durable, or none.",
        parameters: &[KEY],
        body: body::<SaveMemories>(memories),
        answers: &[written::<SavedMemories>("Saved"), again::<SavedMemories>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE],
    },
    Operation {
        method: "post",
        path: "/v1/memories/entries",
        id: "readMemories",
        tag: "memories",
        summary: "Read many memories",
        description: "Reads memories by their ids, as they were true at a moment; default now.",
        parameters: &[],
        body: body::<GetEntries>(entries),
        answers: &[ok::<EntriesAnswer>(
            "The memories that are true then, those that are not, and the ids of no memory",
        )],
        refused_by: &[ANY, REMEMBERS, CHECKED, BODY, READ],
    },
    Operation {
        method: "get",
        path: "/v1/memories/{id}",
        id: "readMemory",
        tag: "memories",
        summary: "Read a memory",
        description: "Reads one memory as it was true at a moment; default now.",
        parameters: &[ID, AS_OF, KNOWN_AT, MIN_SEQ],
        body: None,
        answers: &[ok::<MemoryView>("The memory")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ, &[ErrorCode::EntryNotFound, ErrorCode::EntryNotValid]],
    },
    Operation {
        method: "post",
        path: "/v1/memories/{id}/invalidate",
        id: "invalidateMemory",
        tag: "memories",
        summary: "End a memory's validity",
        description: "Records that a memory is no longer true. It stays in the log and can be read as of a time at which it was true.",
        parameters: &[ID, KEY],
        body: body::<InvalidateMemory>(end),
        answers: &[written::<Saved>("Ended"), again::<Saved>()],
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
        path: "/v1/memories/{id}/history",
        id: "readHistory",
        tag: "memories",
        summary: "History of a memory",
        description: "Every event that saved, ended, rated or forgot it, in log order.",
        parameters: &[ID],
        body: None,
        answers: &[ok::<HistoryAnswer>("The events")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ, LOG, &[ErrorCode::EntryNotFound]],
    },
    Operation {
        method: "get",
        path: "/v1/timeline",
        id: "readTimeline",
        tag: "memories",
        summary: "Memories around a place in the log",
        description: "Memories before and after a place in the log, including those that are no longer true.",
        parameters: &[
            ANCHOR,
            around("before", "Maximum number of memories before it."),
            around("after", "Maximum number of memories after it."),
            OF_PROJECT,
            OF_SESSION,
            TAGS_ANY,
            TAGS_ALL,
            KNOWN_AT,
            MIN_SEQ,
        ],
        body: None,
        answers: &[ok::<TimelineAnswer>("The memories, in the order of the log")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ, &[ErrorCode::EntryNotFound]],
    },
    Operation {
        method: "post",
        path: "/v1/documents",
        id: "ingestDocuments",
        tag: "memories",
        summary: "Ingest documents",
        description: "Splits documents into memories. An unchanged document is saved once, and a new version replaces the previous one. A refused document does not stop the rest.",
        parameters: &[],
        body: body::<IngestDocuments>(documents),
        answers: &[ok::<IngestAnswer>("The result for each document")],
        refused_by: &[ANY, CHECKED, BODY, &[ErrorCode::WritesOff]],
    },
    Operation {
        method: "post",
        path: "/v1/feedback",
        id: "giveFeedback",
        tag: "memories",
        summary: "Rate a memory",
        description: "Records how useful a memory was. Takes either `useful` or `rating`.",
        parameters: &[KEY],
        body: body::<GiveFeedback>(rating),
        answers: &[written::<Saved>("Recorded"), again::<Saved>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ, &[ErrorCode::EntryNotFound]],
    },
];

const ANCHOR: Parameter = needed(
    "anchor",
    "The place: the id of a memory, the sequence number of an event, or a time.",
    || json!({ "anyOf": [{ "type": "string", "pattern": ID_PATTERN }, seq(), { "type": "string", "format": "date-time" }] }),
    || json!(1),
);

const fn around(name: &'static str, description: &'static str) -> Parameter {
    let schema =
        || json!({ "type": "integer", "minimum": 0, "maximum": TIMELINE_MAX, "default": TIMELINE_DEFAULT });
    query(name, description, schema, || json!(2))
}

fn memory() -> Value {
    json!({
        "content": "The kettle in the small kitchen is blue.", "title": "Kettle", "project": "kitchen", "type": "fact",
        "tags": ["colour"], "occurred_at": "2026-01-31T12:00:00Z", "entities": ["kettle"],
    })
}

fn memories() -> Value {
    json!({ "memories": [memory(), { "content": "The stove is gas." }] })
}

fn entries() -> Value {
    json!({ "ids": [EXAMPLE_ID] })
}

fn end() -> Value {
    json!({ "reason": "it was painted" })
}

fn documents() -> Value {
    json!({ "documents": [{ "source": "notes/kitchen.md", "content": "# Kitchen\n\nThe kettle is blue." }], "project": "kitchen" })
}

fn rating() -> Value {
    json!({ "id": EXAMPLE_ID, "rating": 0.5, "note": "it answered half of it" })
}
