//! Why a call of a store failed.

use std::error::Error as _;
use std::time::Duration;

use thiserror::Error;

/// Maximum duration of one call: 16 MiB at 3 Mbit/s, and longer than a store that answers at all needs.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(45);
/// Maximum characters of the text of a store's error that are kept.
const ERROR_CHARS_MAX: usize = 600;
/// Maximum number of causes in a text. A chain of this length would be a mistake of the program.
const CAUSES_MAX: usize = 16;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    #[error("{0} is missing")]
    Missing(String),
    #[error("{0} is there already, with other contents")]
    Different(String),
    #[error("{0} has more than {1} bytes")]
    TooLarge(String, u64),
    #[error("the store does not permit access to {0}: check the credentials and what they permit")]
    Denied(String),
    #[error(
        "the store does not permit {0} to be removed: it is locked, or the credentials do not permit to delete"
    )]
    Kept(String),
    #[error("the store cannot create an object only if it is absent")]
    Unconditional,
    #[error("the store did not answer within {CALL_MAX:?}: {0}")]
    Timeout(String),
    #[error("the store failed at {0}: {1}")]
    Failed(String, String),
}

impl StoreError {
    /// Whether the same call may succeed a moment later.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, StoreError::Timeout(_) | StoreError::Failed(..))
    }
}

/// What a fault of the library means for the object with this name.
pub(crate) fn of(name: &str, fault: &object_store::Error) -> StoreError {
    let name = name.to_owned();
    match fault {
        object_store::Error::NotFound { .. } => StoreError::Missing(name),
        object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
            StoreError::Different(name)
        }
        // What these answer may name the access key.
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            StoreError::Denied(name)
        }
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
            StoreError::Unconditional
        }
        other => failed(&name, &with_causes(other)),
    }
}

/// The fault and its causes, each once: the last one may be the only one that says what to do, as for a certificate
/// that is not trusted. Some errors have the text of their cause already.
fn with_causes(fault: &object_store::Error) -> String {
    let (mut text, mut next) = (fault.to_string(), fault.source());
    for _ in 0..CAUSES_MAX {
        let Some(cause) = next else { break };
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

/// Keeps the beginning and the end of a long text: what was tried, and the last cause.
pub(crate) fn failed(name: &str, text: &str) -> StoreError {
    let chars: Vec<char> = text.chars().collect();
    let text = if chars.len() > ERROR_CHARS_MAX {
        let (begin, end) = (&chars[..ERROR_CHARS_MAX / 2], &chars[chars.len() - ERROR_CHARS_MAX / 2..]);
        begin.iter().chain(&[' ', '…', ' ']).chain(end).collect()
    } else {
        text.to_owned()
    };
    StoreError::Failed(name.to_owned(), text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// An error that does not say its cause, as those of HTTP clients.
    #[derive(Debug, Error)]
    #[error("error sending request")]
    struct Sending(#[source] Arc<object_store::Error>);

    #[test]
    fn the_last_cause_of_a_fault_is_in_its_text_once() {
        let last = std::io::Error::other("invalid peer certificate: UnknownIssuer");
        let inner = Arc::new(object_store::Error::Generic { store: "inner", source: last.into() });
        let long: &str = "x".repeat(2 * ERROR_CHARS_MAX).leak();
        for (store, is_cut) in [("S3", false), (long, true)] {
            let source = Box::new(Sending(Arc::clone(&inner)));
            let fault = of("a", &object_store::Error::Generic { store, source }).to_string();
            assert_eq!(fault.matches("UnknownIssuer").count(), 1, "{fault}");
            assert!(fault.ends_with("invalid peer certificate: UnknownIssuer"), "{fault}");
            assert_eq!(fault.contains('…'), is_cut, "{fault}");
            assert!(fault.chars().count() < ERROR_CHARS_MAX + 100, "{fault}");
        }
    }
}
