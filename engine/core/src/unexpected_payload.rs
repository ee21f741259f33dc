//! The error for event payloads that the engine cannot have written.

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::format::EventLine;

/// An event of a type that only the engine writes, with a payload that the engine did not write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("event {seq} of type {kind} has a payload of an unexpected shape")]
pub struct UnexpectedPayload {
    /// Sequence number of the event.
    pub seq: u64,
    /// Event type.
    pub kind: &'static str,
}

pub(crate) fn shaped<T: DeserializeOwned>(
    line: &EventLine<'_>,
    payload: &str,
    kind: &'static str,
) -> Result<T, UnexpectedPayload> {
    serde_json::from_str(payload).map_err(|_| UnexpectedPayload { seq: line.envelope.seq, kind })
}
