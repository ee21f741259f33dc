//! `memory_status`.

use engine_core::wire::{Health, IntegrityHealth, LogHealth, ProjectionHealth, StorageHealth};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::Operations;

pub(super) const TOOL: Tool = Tool {
    name: "memory_status",
    title: "Status of the memory",
    description: "Says whether memories can be saved and found now, how many events the log has, how far the search index is \
        behind it, and through which event the log has been verified. Use it when a call was refused, or before a long run of \
        saves.",
    effect: Effect::Reads,
    input: schema::input::<StatusArguments>,
    output: Output::Structured(schema::output::<Status>),
    call,
};

/// None.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusArguments {}

/// Answer of `memory_status`.
#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    /// Version of the engine.
    version: String,
    /// `ok`, or `degraded` when something is refused.
    status: String,
    /// Which log this is.
    log_id: String,
    /// Sequence number of the last durable event: how many there are.
    head_seq: u64,
    /// Hash of that event, 64 hex digits.
    head_hash: String,
    /// Searches and reads reflect the log up to this event.
    applied_seq: u64,
    /// `ready`, `rebuilding` or `failed`.
    projection: String,
    /// Whether memories can be saved.
    writable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Every event up to this one has been read back and verified since the engine started.
    verified_through: u64,
    /// What is wrong with the log, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let StatusArguments {} = arguments.read()?;
        let status = status(operations.health());
        let writes = match &status.reason {
            _ if status.writable => "memories can be saved".to_owned(),
            Some(reason) => format!("memories cannot be saved: {reason}"),
            None => "memories cannot be saved yet".to_owned(),
        };
        let text = format!(
            "{}: {writes}; {} events, {} of them searchable, verified through {}.",
            status.status, status.head_seq, status.applied_seq, status.verified_through
        );
        let fault = status.fault.as_deref().map(|fault| format!("\n{fault}")).unwrap_or_default();
        Answer::new(&status, text + &fault)
    })
}

/// What a client may know: nothing of the volume or of the process.
fn status(health: Health) -> Status {
    let Health { version, status, log, projection, storage, .. } = health;
    let LogHealth { id, seq, hash, integrity, .. } = log;
    let ProjectionHealth { applied_seq, state, .. } = projection;
    let StorageHealth { writable, reason, .. } = storage;
    let IntegrityHealth { verified_through, fault, .. } = integrity;
    Status {
        version,
        status: word(&status),
        log_id: id,
        head_seq: seq,
        head_hash: hash,
        applied_seq,
        projection: word(&state),
        writable,
        reason: reason.map(|reason| word(&reason)),
        verified_through,
        fault: fault.map(|fault| fault.message),
    }
}

/// The word a value has on the wire.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
