//! Descriptions of operations for the OpenAPI document, and the groups of error codes they share.

use std::collections::BTreeSet;

use engine_core::wire::ErrorCode;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

/// One HTTP method of one path.
#[derive(Debug)]
pub(super) struct Operation {
    /// HTTP method in lower case.
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// Operation id: the method name in generated clients.
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) body: Option<RequestBody>,
    /// Successful responses of the operation.
    pub(super) answers: &'static [Answer],
    /// Error codes of the operation, as groups that several operations share.
    pub(super) refused_by: &'static [&'static [ErrorCode]],
}

/// A parameter in the path, the query string or a header.
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

/// A request body.
#[derive(Debug)]
pub(super) struct RequestBody {
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
    pub(super) example: fn() -> Value,
}

/// A successful response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) body: Body,
}

/// The body of a successful response.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    Json(fn(&mut SchemaGenerator) -> Schema),
    Text,
    None,
}

impl Operation {
    /// Returns every error code that the operation can respond with.
    pub(super) fn refusals(&self) -> BTreeSet<ErrorCode> {
        self.refused_by.iter().copied().flatten().copied().collect()
    }
}

/// Errors of every operation: an internal fault, a timeout, limits that are checked before the request is read, and
/// access control.
pub(super) const ANY: &[ErrorCode] = &[
    ErrorCode::RequestTimeout,
    ErrorCode::RateLimited,
    ErrorCode::HeadTooLarge,
    ErrorCode::Internal,
    ErrorCode::Unauthenticated,
    ErrorCode::InsufficientScope,
    ErrorCode::ProjectForbidden,
    ErrorCode::IssuerUnavailable,
    ErrorCode::NotExposed,
];
/// Errors of operations with parameters or a body.
pub(super) const CHECKED: &[ErrorCode] = &[ErrorCode::InvalidArgument];
/// Errors of operations with a body.
pub(super) const BODY: &[ErrorCode] =
    &[ErrorCode::PayloadTooLarge, ErrorCode::UnsupportedMediaType, ErrorCode::Overloaded];
/// Errors of operations that write. The policy may block the text; the mode may
/// not allow writes; the log may be full, failing, corrupt or stopping;
/// the idempotency key may belong to another request, or it may not be possible yet to look it up. An engine that
/// follows another one may not reach it.
pub(super) const WRITE: &[ErrorCode] = &[
    ErrorCode::WritesOff,
    ErrorCode::PolicyBlocked,
    ErrorCode::PseudonymKeyLost,
    ErrorCode::IdempotencyConflict,
    ErrorCode::Overloaded,
    ErrorCode::ShuttingDown,
    ErrorCode::StorageFull,
    ErrorCode::StorageFailure,
    ErrorCode::LogCorrupt,
    ErrorCode::ProjectionUnavailable,
    ErrorCode::WriterUnreachable,
];
/// Errors of operations that read the projection.
pub(super) const READ: &[ErrorCode] = &[
    ErrorCode::PseudonymKeyLost,
    ErrorCode::LogCorrupt,
    ErrorCode::ProjectionUnavailable,
    ErrorCode::ProjectionBehind,
    ErrorCode::QueryTimeout,
    ErrorCode::ChainBroken,
    ErrorCode::WriterUnreachable,
];
/// The error of operations that return what is remembered, while the mode does not allow reads.
pub(super) const REMEMBERS: &[ErrorCode] = &[ErrorCode::ReadsOff];
/// Errors of operations that read the log.
pub(super) const LOG: &[ErrorCode] = &[
    ErrorCode::LogCorrupt,
    ErrorCode::StorageFailure,
    ErrorCode::PseudonymKeyLost,
    ErrorCode::ChainBroken,
    ErrorCode::WriterUnreachable,
];
