//! Errors as clients see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDetail {
    /// Stable; programs decide on this.
    pub code: ErrorCode,
    /// For a person: what is wrong.
    pub message: String,
    /// For a person: what to do.
    pub hint: String,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)+) => {
        /// Every code the API answers with; each has one HTTP status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl ErrorCode {
            /// All of them, in the order of the documentation.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name,)+];

            /// The code as it stands in the answer.
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)+ }
            }

            /// The HTTP status it comes with.
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$name => $status,)+ }
            }
        }
    };
}

error_codes! {
    /// The request breaks a rule that its message names.
    InvalidArgument = "INVALID_ARGUMENT", 400;
    /// No memory has this id.
    EntryNotFound = "ENTRY_NOT_FOUND", 404;
    /// The memory is not true at the moment asked about.
    EntryNotValid = "ENTRY_NOT_VALID", 404;
    /// There is no item under this namespace and key.
    ItemNotFound = "ITEM_NOT_FOUND", 404;
    /// No entity of the project has this name.
    EntityNotFound = "ENTITY_NOT_FOUND", 404;
    /// No such path.
    NotFound = "NOT_FOUND", 404;
    /// The path exists, the method does not.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405;
    /// The request did not arrive in time.
    RequestTimeout = "REQUEST_TIMEOUT", 408;
    /// The memory's validity ends already, no later than asked for.
    AlreadyInvalidated = "ALREADY_INVALIDATED", 409;
    /// The plan that was made is not what the rules give now.
    PlanChanged = "PLAN_CHANGED", 409;
    /// More would be removed than usual, and nobody named how much.
    SpikeGuard = "SPIKE_GUARD", 409;
    /// The item has another version than the request was made for.
    VersionConflict = "VERSION_CONFLICT", 409;
    /// The body is larger than any request may be.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413;
    /// What was asked for is larger than any answer may be.
    AnswerTooLarge = "ANSWER_TOO_LARGE", 400;
    /// The body is not declared as JSON.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415;
    /// The idempotency key was used with another body.
    IdempotencyConflict = "IDEMPOTENCY_CONFLICT", 422;
    /// It holds a secret, or personal data where that cannot be redacted; the message names the detector and the field.
    PolicyBlocked = "POLICY_BLOCKED", 422;
    /// The key of the tokens that stand for personal data in names is not there.
    PseudonymKeyLost = "PSEUDONYM_KEY_LOST", 503;
    /// Too often, or too much at once, from one address; come back after `Retry-After` seconds.
    RateLimited = "RATE_LIMITED", 429;
    /// The request line and headers are longer than any may be.
    HeadTooLarge = "HEAD_TOO_LARGE", 431;
    /// A fault of the engine; the log has the details.
    Internal = "INTERNAL", 500;
    /// Too much is waiting; come back after `Retry-After` seconds.
    Overloaded = "OVERLOADED", 503;
    /// The engine is stopping.
    ShuttingDown = "SHUTTING_DOWN", 503;
    /// The volume is full; reads go on, writes resume by themselves when there is space.
    StorageFull = "STORAGE_FULL", 503;
    /// The volume failed; writes resume by themselves when it works again.
    StorageFailure = "STORAGE_FAILURE", 503;
    /// The chain does not verify; nothing is written.
    LogCorrupt = "LOG_CORRUPT", 503;
    /// The projection is being built; reads come back by themselves.
    ProjectionUnavailable = "PROJECTION_UNAVAILABLE", 503;
    /// What was written is not readable yet; come back after `Retry-After` seconds.
    ProjectionBehind = "PROJECTION_BEHIND", 503;
    /// The search takes longer than any may.
    QueryTimeout = "QUERY_TIMEOUT", 504;
}
