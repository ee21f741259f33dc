//! The tool `memory_status`: the state of the engine.

use engine_core::mode::Mode;
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
    description: "Reports whether memories can be saved and found now, how many events the log has, how far the search \
        index is behind the log, and up to which event the log is verified. Use it when a call was refused, or before \
        saving many memories.",
    effect: Effect::Reads,
    input: schema::input::<StatusArguments>,
    output: Output::Structured(schema::output::<Status>),
    call,
};

/// `memory_status` has no arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusArguments {}

/// Answer of `memory_status`.
#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    /// Version of the engine.
    version: String,
    /// `ok`, or `degraded` if some calls are refused.
    status: String,
    /// Id of the log.
    log_id: String,
    /// Sequence number of the last durable event, which is the number of events.
    head_seq: u64,
    /// Hash of that event, 64 hex digits.
    head_hash: String,
    /// Searches and reads reflect the log up to this event.
    applied_seq: u64,
    /// `ready`, `rebuilding` or `failed`.
    projection: String,
    /// What is allowed now: `read_write`, `read_only`, `write_only` or `off`. Without reads, go on without memories.
    mode: String,
    /// Whether memories can be saved.
    writable: bool,
    /// Why memories cannot be saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Every event up to this one has been read back and verified since the engine started.
    verified_through: u64,
    /// What is wrong with the log, as a text for a person.
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
        let reads = match status.mode.as_str() {
            "write_only" | "off" => "; memories cannot be read now, because the mode does not allow it",
            _ => "",
        };
        let text = format!(
            "{}: {writes}{reads}; {} events, {} of them searchable, verified through {}.",
            status.status, status.head_seq, status.applied_seq, status.verified_through
        );
        let fault = status.fault.as_deref().map(|fault| format!("\n{fault}")).unwrap_or_default();
        Answer::new(&status, text + &fault)
    })
}

/// Returns the part of the health report that clients may see. It contains nothing about the volume or the process.
fn status(health: Health) -> Status {
    let Health { version, status, log, projection, storage, mode, .. } = health;
    let mode = mode.map_or(Mode::ReadWrite, |mode| mode.effective);
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
        writable: writable && mode.writes(),
        mode: mode.as_str().to_owned(),
        reason: match mode.writes() {
            true => reason.map(|reason| word(&reason)),
            false => Some(format!("the mode is {mode}")),
        },
        verified_through,
        fault: fault.map(|fault| fault.message),
    }
}

/// The serialised name of an enum value.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
