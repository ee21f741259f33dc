//! Error responses of the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mode::ReadsOff;

/// Body of every answer with an error status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
    /// Only with `READS_OFF`: since no memory was used, why, and until when.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub reads_off: Option<ReadsOff>,
}

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDetail {
    /// Stable error code, for use by programs.
    pub code: ErrorCode,
    /// Human-readable: what is wrong.
    pub message: String,
    /// Human-readable: what to do.
    pub hint: String,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)+) => {
        /// Error codes of the API. Each code has one HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl ErrorCode {
            /// All codes, in the order of the documentation.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name,)+];

            /// The code as sent in the answer.
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)+ }
            }

            /// The HTTP status sent with the code.
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$name => $status,)+ }
            }
        }
    };
}

error_codes! {
    /// The request breaks a rule, which the message names.
    InvalidArgument = "INVALID_ARGUMENT", 400;
    /// The request has no key or token, or one that is not accepted.
    Unauthenticated = "UNAUTHENTICATED", 401;
    /// The caller's key lacks the scope that the operation needs.
    InsufficientScope = "INSUFFICIENT_SCOPE", 403;
    /// The caller's key is not bound to the project, or names none of several. The answer is the same whether or not
    /// the project exists.
    ProjectForbidden = "PROJECT_FORBIDDEN", 403;
    /// The admin port does not answer web pages of other sites, nor requests for a host that is not the engine.
    Forbidden = "FORBIDDEN", 403;
    /// No memory has this id.
    EntryNotFound = "ENTRY_NOT_FOUND", 404;
    /// The memory is not valid at the requested time.
    EntryNotValid = "ENTRY_NOT_VALID", 404;
    /// There is no item with this namespace and key.
    ItemNotFound = "ITEM_NOT_FOUND", 404;
    /// No entity of the project has this name.
    EntityNotFound = "ENTITY_NOT_FOUND", 404;
    /// The path does not exist.
    NotFound = "NOT_FOUND", 404;
    /// The path exists, but does not support the method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405;
    /// The request did not arrive in time.
    RequestTimeout = "REQUEST_TIMEOUT", 408;
    /// The memory's validity already ends at or before the requested time.
    AlreadyInvalidated = "ALREADY_INVALIDATED", 409;
    /// Applying the rules now gives a different plan; make a new plan.
    PlanChanged = "PLAN_CHANGED", 409;
    /// The run would remove more memories than the spike guard allows; confirm the number with `override_spike_guard`.
    SpikeGuard = "SPIKE_GUARD", 409;
    /// The item's current version differs from the one in the request.
    VersionConflict = "VERSION_CONFLICT", 409;
    /// The body exceeds the size limit for requests.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413;
    /// The answer would exceed the size limit; request less.
    AnswerTooLarge = "ANSWER_TOO_LARGE", 400;
    /// The `Content-Type` is not JSON.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415;
    /// The idempotency key was already used with a different request.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT", 422;
    /// The request contains a secret, or personal data in a field where it cannot be redacted; the message names the
    /// detector and the field.
    PolicyBlocked = "POLICY_BLOCKED", 422;
    /// The key for pseudonyms of personal data in names is missing.
    PseudonymKeyLost = "PSEUDONYM_KEY_LOST", 503;
    /// Too many requests from one address or of one key; retry after `Retry-After` seconds.
    RateLimited = "RATE_LIMITED", 429;
    /// The request line and headers exceed the size limit.
    HeadTooLarge = "HEAD_TOO_LARGE", 431;
    /// An internal error of the engine; the details are in the engine's log output.
    Internal = "INTERNAL", 500;
    /// The mode does not allow reads, or the guard has turned them off; the answer says why and until when.
    ReadsOff = "READS_OFF", 503;
    /// The mode does not allow writes.
    WritesOff = "WRITES_OFF", 503;
    /// Too many requests are waiting; retry after `Retry-After` seconds.
    Overloaded = "OVERLOADED", 503;
    /// The engine is shutting down.
    ShuttingDown = "SHUTTING_DOWN", 503;
    /// The volume is full. Reads continue; writes resume automatically once there is space.
    StorageFull = "STORAGE_FULL", 503;
    /// The volume failed. Writes resume automatically once it works again.
    StorageFailure = "STORAGE_FAILURE", 503;
    /// The log failed verification; writes are refused.
    LogCorrupt = "LOG_CORRUPT", 503;
    /// The projection is being rebuilt; reads resume automatically.
    ProjectionUnavailable = "PROJECTION_UNAVAILABLE", 503;
    /// The requested event cannot be read yet; retry after `Retry-After` seconds.
    ProjectionBehind = "PROJECTION_BEHIND", 503;
    /// The keys of the issuer of the token have not arrived yet; retry after `Retry-After` seconds.
    IssuerUnavailable = "ISSUER_UNAVAILABLE", 503;
    /// This engine forwards writes to the engine that it follows, which does not answer; retry after `Retry-After`
    /// seconds with the same `Idempotency-Key`.
    WriterUnreachable = "WRITER_UNREACHABLE", 503;
    /// The log that this engine follows is not the one that it has a copy of, or does not verify. Nothing is read.
    ChainBroken = "CHAIN_BROKEN", 503;
    /// The engine may not be reached from outside of its cluster now; retry after `Retry-After` seconds.
    NotExposed = "NOT_EXPOSED", 503;
    /// The search exceeded its time limit.
    QueryTimeout = "QUERY_TIMEOUT", 504;
}
