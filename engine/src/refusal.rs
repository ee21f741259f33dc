//! Errors as clients receive them. They contain what a client may know and what it can do about the error.

use std::borrow::Cow;

use engine_core::identity::CallerNames;
use engine_core::policy::scrubbed;
use engine_core::request::Refused;
use engine_core::wire::{ErrorBody, ErrorCode, ErrorDetail, ReadsOff};

use crate::policy_gate::WriteError;
use crate::pseudonyms::KeyFault;
use engine_log::CommitError;
use engine_projection::Unreadable;
use tokio::task::JoinError;

/// An error response: a code, a message and a hint.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: ErrorCode,
    message: String,
    hint: String,
    /// Only for reads that are refused because of the mode.
    reads_off: Option<Box<(ReadsOff, u32)>>,
    /// When a retry may succeed, if it is not the default of the code, seconds.
    retry_after: Option<u32>,
}

impl Refusal {
    /// A message that was put together, rather than written in the program, is cleared of secrets and personal data.
    pub(crate) fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal {
            code,
            message: clean(message.into()),
            hint: String::new(),
            reads_off: None,
            retry_after: None,
        }
    }

    /// Refuses a read because of the mode. `retry_after_s` is when reads may be possible again.
    pub(crate) fn reads_off(reads_off: ReadsOff, retry_after_s: u32) -> Refusal {
        let ReadsOff { source, reason, .. } = &reads_off;
        let message = format!("reads are off ({source}): {reason}");
        Refusal {
            reads_off: Some(Box::new((reads_off, retry_after_s))),
            ..Refusal::new(ErrorCode::ReadsOff, message)
        }
        .hint("go on without memories; writes are accepted unless the mode is off; docs/guide/modes.md")
    }

    /// Sets the hint: what the client can do.
    pub(crate) fn hint(self, hint: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { hint: clean(hint.into()), ..self }
    }

    /// Sets when a retry may succeed.
    pub(crate) fn retry_after(self, seconds: u32) -> Refusal {
        Refusal { retry_after: Some(seconds), ..self }
    }

    /// Replaces stored names in the message with the names that the request used.
    pub(crate) fn with_caller_names(self, caller_names: &CallerNames) -> Refusal {
        Refusal { message: caller_names.restore_in_text(&self.message), ..self }
    }

    /// Error code, for programs.
    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    /// Message, for people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the request itself is correct and may succeed later.
    pub(crate) fn is_outage(&self) -> bool {
        self.code.status() >= 500 || self.retry_after_s().is_some()
    }

    /// The body that clients receive.
    pub(crate) fn into_body(self) -> ErrorBody {
        let Refusal { code, message, hint, reads_off, retry_after: _ } = self;
        let reads_off = reads_off.map(|reads_off| reads_off.0);
        ErrorBody { error: ErrorDetail { code, message, hint }, reads_off }
    }

    /// Number of seconds after which a retry may succeed; only for faults that end without intervention.
    pub(crate) fn retry_after_s(&self) -> Option<u32> {
        if self.retry_after.is_some() {
            return self.retry_after;
        }
        match self.code {
            ErrorCode::Overloaded
            | ErrorCode::RateLimited
            | ErrorCode::ProjectionUnavailable
            | ErrorCode::ProjectionBehind
            | ErrorCode::ShuttingDown => Some(1),
            ErrorCode::StorageFull | ErrorCode::StorageFailure | ErrorCode::WriterUnreachable => Some(5),
            ErrorCode::NotExposed => Some(30),
            ErrorCode::ReadsOff => {
                self.reads_off.as_ref().map(|reads_off| reads_off.1).filter(|wait| *wait > 0)
            }
            _ => None,
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        let innermost = match &refused {
            Refused::Item { fault, .. } => fault,
            refused => refused,
        };
        let (code, hint) = match innermost {
            Refused::TooLarge { .. } => {
                (ErrorCode::PayloadTooLarge, "split it into several; texts are never truncated")
            }
            _ => (ErrorCode::InvalidArgument, "correct the request; repeating it unchanged does not help"),
        };
        Refusal::new(code, refused.to_string()).hint(hint)
    }
}

impl From<WriteError> for Refusal {
    fn from(fault: WriteError) -> Refusal {
        match fault {
            WriteError::Commit(fault) => fault.into(),
            WriteError::Pseudonyms(fault) => fault.into(),
            WriteError::ModeOff(mode) => {
                Refusal::new(ErrorCode::WritesOff, format!("writes are off: the mode is {mode}"))
                    .hint("nothing was written; the mode of the engine says why; docs/guide/modes.md")
            }
            WriteError::Blocked(blocked) => Refusal::new(ErrorCode::PolicyBlocked, blocked.to_string())
                .hint("nothing was written; docs/guide/policy.md describes what is blocked and how to allow an exception"),
        }
    }
}

impl From<KeyFault> for Refusal {
    fn from(fault: KeyFault) -> Refusal {
        let (code, hint) = match fault {
            KeyFault::Lost => (
                ErrorCode::PseudonymKeyLost,
                "restore the file from a backup of the volume; meanwhile requests work whose names contain no personal data, \
                 and requests that name things by their token",
            ),
            KeyFault::Elsewhere => (
                ErrorCode::PseudonymKeyLost,
                "send it to the engine that this one follows; docs/guide/readers.md",
            ),
            KeyFault::Volume => {
                (ErrorCode::StorageFailure, "see the engine's log; repeat it after Retry-After seconds")
            }
            KeyFault::Unknown => {
                (ErrorCode::ProjectionUnavailable, "repeat it after Retry-After seconds; nothing was written")
            }
        };
        Refusal::new(code, fault.to_string()).hint(hint)
    }
}

impl From<CommitError> for Refusal {
    fn from(fault: CommitError) -> Refusal {
        let (code, hint) = match fault {
            CommitError::Overloaded => {
                (ErrorCode::Overloaded, "nothing was written; repeat it after Retry-After seconds")
            }
            CommitError::Full => (
                ErrorCode::StorageFull,
                "grow the volume; writes resume automatically, reads continue meanwhile",
            ),
            CommitError::Failing => (
                ErrorCode::StorageFailure,
                "see the engine's log; writes resume automatically; a retry with the same Idempotency-Key is safe",
            ),
            CommitError::Corrupt => (ErrorCode::LogCorrupt, LOG_CORRUPT_HINT),
            CommitError::Conflict => {
                (ErrorCode::IdempotencyConflict, "use a new Idempotency-Key for a new request")
            }
            CommitError::KeysUnknown => (
                ErrorCode::ProjectionUnavailable,
                "keys are looked up in the projection, which is being built; repeat it after Retry-After seconds",
            ),
            CommitError::Following => (
                ErrorCode::WritesOff,
                "nothing was written; send it to the engine that this one follows; docs/guide/readers.md",
            ),
            CommitError::Stopping => {
                (ErrorCode::ShuttingDown, "repeat it with the same Idempotency-Key once the engine is back")
            }
        };
        Refusal::new(code, fault.to_string()).hint(hint)
    }
}

const LOG_CORRUPT_HINT: &str =
    "run `memory-engine verify --data DIR` to see where; restore the log from a backup that verifies";

/// The error for a read at or after the first place where the log does not verify.
pub(crate) fn log_corrupt() -> Refusal {
    Refusal::new(ErrorCode::LogCorrupt, "the log does not verify at or before the requested event")
        .hint(LOG_CORRUPT_HINT)
}

impl From<Unreadable> for Refusal {
    fn from(fault: Unreadable) -> Refusal {
        match fault {
            Unreadable::NotReady => {}
            Unreadable::Behind { .. } => {
                return Refusal::new(ErrorCode::ProjectionBehind, fault.to_string()).hint(
                    "repeat it after Retry-After seconds; min_seq=0 reads the current state, applied_seq reports how fresh it is",
                );
            }
            Unreadable::TooLong => {
                return Refusal::new(ErrorCode::QueryTimeout, "too many memories match to rank them in time")
                    .hint("narrow the search: rarer words, a project, a type");
            }
            Unreadable::Failed(_) | Unreadable::Thread(_) => tracing::error!(%fault, "a read failed"),
        }
        Refusal::new(ErrorCode::ProjectionUnavailable, "memories cannot be read now")
            .hint("the projection is rebuilt from the log automatically; repeat it after Retry-After seconds")
    }
}

impl From<std::io::Error> for Refusal {
    fn from(fault: std::io::Error) -> Refusal {
        tracing::error!(%fault, "reading the log failed");
        Refusal::new(ErrorCode::StorageFailure, "the log cannot be read now").hint("see the engine's log")
    }
}

fn clean(text: Cow<'static, str>) -> String {
    match text {
        Cow::Borrowed(literal) => literal.to_owned(),
        Cow::Owned(text) => match scrubbed(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => clean,
        },
    }
}

/// The error for a task that ended without a result. Its own message quotes the message of the panic.
#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err requires")]
pub(crate) fn ended(fault: JoinError) -> Refusal {
    internal(&if fault.is_panic() { "a task panicked" } else { "a task was cancelled" })
}

/// The error for a payload of the log that cannot be read. The parser's message quotes the payload.
pub(crate) fn unreadable_payload(fault: &serde_json::Error) -> Refusal {
    let (kind, column) = (fault.classify(), fault.column());
    internal(&format!("the payload of an event cannot be read: {kind:?} error at column {column}"))
}

/// The error for a fault of the engine. The client learns only that there was a fault; the details are logged.
pub(crate) fn internal(fault: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%fault, "a request failed because of a fault of the engine");
    Refusal::new(ErrorCode::Internal, "internal error of the engine").hint("see the engine's log")
}
