//! What the writer is asked for, and what it answers.

use engine_core::digest::Hash;
use engine_core::event::Draft;
use engine_core::fold::Request;
use engine_core::wire::{GivenAnchor, IntegrityHealth};
use thiserror::Error;
use tokio::sync::oneshot;

/// What the writer can be asked for.
#[derive(Debug)]
pub enum Order {
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
pub type Answer<T> = oneshot::Sender<Result<T, CommitError>>;

/// The log goes on in a new segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rotated {
    /// Number of the segment that is being written now.
    pub segment: u64,
    /// The event it will begin with.
    pub first_seq: u64,
}

/// Checkpoints have a new key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeyRotated {
    /// Verifier key of before.
    pub old: String,
    /// Verifier key from now on.
    pub new: String,
}

/// A request to forget payloads.
#[derive(Debug)]
pub struct Erase {
    /// The events that say so.
    pub drafts: Vec<Draft>,
    /// Number of the last event whose payload goes.
    pub through: u64,
    pub key: Option<Key>,
    pub reply: Reply,
}

/// A request to make events durable, all or none.
#[derive(Debug)]
pub struct Commit {
    pub drafts: Vec<Draft>,
    pub key: Option<Key>,
    pub reply: Reply,
}

pub(crate) type Reply = Answer<Receipt>;

/// An idempotency key and the request it is bound to, in a form in which equal requests are equal bytes.
#[derive(Debug)]
pub struct Key {
    pub key: String,
    pub request: Vec<u8>,
}

/// The events are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Id of the last event.
    pub id: String,
    pub first_seq: u64,
    pub last_seq: u64,
    /// Hash of the last event.
    pub hash: Hash,
    /// They were already, under the same idempotency key.
    pub replayed: bool,
}

impl Receipt {
    pub fn of(request: &Request, replayed: bool) -> Receipt {
        let Request { id, first_seq, last_seq, hash, .. } = request.clone();
        Receipt { id, first_seq, last_seq, hash, replayed }
    }
}

/// Why events are not durable, or not known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommitError {
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
pub struct Applying {
    /// Whole lines.
    pub lines: Vec<u8>,
    pub first_seq: u64,
}

/// Keys of everything the projection has applied.
pub trait AppliedKeys: Send + Sync {
    /// Up to which event all keys are known.
    fn applied_seq(&self) -> u64;
    /// Looks a key up; `None` when the projection cannot answer, else how far it had applied and what it has.
    fn find(&self, key: &str) -> Option<(u64, Option<Request>)>;
}
