//! What the writer is asked for, and what it answers.

use engine_core::digest::Hash;
use engine_core::event::Draft;
use engine_core::fold::Request;
use engine_core::wire::{GivenAnchor, IntegrityHealth};
use thiserror::Error;
use tokio::sync::oneshot;

/// What the writer can be asked for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Make events durable.
    Commit(Commit),
    /// Go on in a new segment.
    Rotate(Answer<Rotated>),
    /// Sign with a new key from now on.
    RotateKey(Answer<KeyRotated>),
    /// Forget payloads.
    Erase(Erase),
    /// Hold the log against this.
    Anchor(GivenAnchor, oneshot::Sender<IntegrityHealth>),
}

/// Where an answer of the writer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, CommitError>>;

/// The log goes on in a new segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Rotated {
    /// Number of the segment that is being written now.
    pub(crate) segment: u64,
    /// The event it will begin with.
    pub(crate) first_seq: u64,
}

/// Checkpoints have a new key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct KeyRotated {
    /// Verifier key of before.
    pub(crate) old: String,
    /// Verifier key from now on.
    pub(crate) new: String,
}

/// A request to forget payloads.
#[derive(Debug)]
pub(crate) struct Erase {
    /// The events that say so.
    pub(crate) drafts: Vec<Draft>,
    /// Number of the last event whose payload goes.
    pub(crate) through: u64,
    pub(crate) key: Option<Key>,
    pub(crate) reply: Reply,
}

/// A request to make events durable, all or none.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) key: Option<Key>,
    pub(crate) reply: Reply,
}

pub(crate) type Reply = Answer<Receipt>;

/// An idempotency key and the request it is bound to, in a form in which equal requests are equal bytes.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) key: String,
    pub(crate) request: Vec<u8>,
}

/// The events are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Id of the last event.
    pub(crate) id: String,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// Hash of the last event.
    pub(crate) hash: Hash,
    /// They were already, under the same idempotency key.
    pub(crate) replayed: bool,
}

impl Receipt {
    pub(crate) fn of(request: &Request, replayed: bool) -> Receipt {
        let Request { id, first_seq, last_seq, hash, .. } = request.clone();
        Receipt { id, first_seq, last_seq, hash, replayed }
    }
}

/// Why events are not durable, or not known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum CommitError {
    #[error("too many requests are waiting to be written")]
    Overloaded,
    #[error("the volume is full")]
    Full,
    #[error("the volume failed")]
    Failing,
    #[error("the log is not what it was")]
    Corrupt,
    #[error("the idempotency key was used with another request")]
    Conflict,
    #[error("idempotency keys cannot be looked up now")]
    KeysUnknown,
    #[error("the engine is stopping")]
    Stopping,
}

/// A durable group on its way to the projection.
#[derive(Debug)]
pub(crate) struct Applying {
    /// Whole lines.
    pub(crate) lines: Vec<u8>,
    pub(crate) first_seq: u64,
}

/// Keys of everything the projection has applied.
pub(crate) trait AppliedKeys: Send {
    /// Up to which event all keys are known.
    fn applied_seq(&self) -> u64;
    /// Looks a key up; `None` when the projection cannot answer, else how far it had applied and what it has.
    fn find(&self, key: &str) -> Option<(u64, Option<Request>)>;
}
