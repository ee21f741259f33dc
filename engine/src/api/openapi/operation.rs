//! What the table says of an operation.

use std::collections::BTreeSet;

use engine_core::wire::ErrorCode;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

/// One method of one path.
#[derive(Debug)]
pub(super) struct Operation {
    /// In lower case.
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Name for generated clients.
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<RequestBody>,
    /// Its successes.
    pub(super) answers: &'static [Answer],
    /// What may refuse it, in parts that several operations have in common.
    pub(super) refused_by: &'static [&'static [ErrorCode]],
}

/// A value in the path, the query string or a header.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// `path`, `query` or `header`.
    pub(super) place: &'static str,
    /// Whether a request without it is refused.
    pub(super) required: bool,
    pub(super) description: &'static str,
    pub(super) schema: fn() -> Value,
    pub(super) example: fn() -> Value,
}

/// A body to send.
#[derive(Debug)]
pub(super) struct RequestBody {
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
    pub(super) example: fn() -> Value,
}

/// A success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) body: Body,
}

/// What a success carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    Json(fn(&mut SchemaGenerator) -> Schema),
    Text,
    None,
}

impl Operation {
    /// Every code it may be refused with.
    pub(super) fn refusals(&self) -> BTreeSet<ErrorCode> {
        self.refused_by.iter().copied().flatten().copied().collect()
    }
}

/// Any operation: a fault of ours, the time a request may take, and what is refused before it is looked at.
pub(super) const ANY: &[ErrorCode] =
    &[ErrorCode::RequestTimeout, ErrorCode::RateLimited, ErrorCode::HeadTooLarge, ErrorCode::Internal];
/// One with parameters or a body.
pub(super) const CHECKED: &[ErrorCode] = &[ErrorCode::InvalidArgument];
/// One with a body.
pub(super) const BODY: &[ErrorCode] =
    &[ErrorCode::PayloadTooLarge, ErrorCode::UnsupportedMediaType, ErrorCode::Overloaded];
/// One that writes: the policy may not allow it; the log may be full, failing, corrupt, stopping; the key may be
/// another request's, or unknown yet.
pub(super) const WRITE: &[ErrorCode] = &[
    ErrorCode::PolicyBlocked,
    ErrorCode::PseudonymKeyLost,
    ErrorCode::IdempotencyConflict,
    ErrorCode::Overloaded,
    ErrorCode::ShuttingDown,
    ErrorCode::StorageFull,
    ErrorCode::StorageFailure,
    ErrorCode::LogCorrupt,
    ErrorCode::ProjectionUnavailable,
];
/// One that reads the projection.
pub(super) const READ: &[ErrorCode] = &[
    ErrorCode::PseudonymKeyLost,
    ErrorCode::LogCorrupt,
    ErrorCode::ProjectionUnavailable,
    ErrorCode::ProjectionBehind,
    ErrorCode::QueryTimeout,
];
/// One that reads the log.
pub(super) const LOG: &[ErrorCode] =
    &[ErrorCode::LogCorrupt, ErrorCode::StorageFailure, ErrorCode::PseudonymKeyLost];
