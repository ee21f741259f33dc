//! Commands sent to the writer, and the writer's answers.

use engine_core::digest::Hash;
use engine_core::event::Draft;
use engine_core::fold::Request;
use engine_core::following::Broken;
use engine_core::wire::{GivenAnchor, IntegrityHealth};
use thiserror::Error;
use tokio::sync::oneshot;
use tracing::Span;

/// A command for the writer.
#[derive(Debug)]
pub enum WriterCommand {
    /// Make events durable.
    Commit(Commit),
    /// Seal the segment and continue in a new one.
    Rotate(Answer<Rotated>),
    /// Switch to a new signing key.
    RotateKey(Answer<KeyRotated>),
    /// Erase payloads.
    Erase(Erase),
    /// Verify the log against this anchor.
    Anchor(GivenAnchor, Caller<IntegrityHealth>),
    /// Continue a copy with the answer of the engine that is followed. Only for a [`crate::Follower`].
    Follow(Received),
}

/// An answer of the engine that is followed.
#[derive(Debug)]
pub struct Received {
    /// Id of its log.
    pub log_id: String,
    /// Number of its last event.
    pub head_seq: u64,
    /// Whether its log has the line that the copy ends with.
    pub has_end: bool,
    /// The lines that follow that line.
    pub lines: Vec<u8>,
    /// Where the outcome goes.
    pub reply: Caller<Result<Followed, FollowError>>,
}

/// What an answer has added to a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Followed {
    /// Lines that were verified and appended: events, headers and seals.
    pub lines: u64,
    /// Ids of the events whose payloads were forgotten, and the number of the last event that says so.
    pub forgotten: Option<(u64, Vec<String>)>,
    /// Whether the answer stopped within a batch or a line.
    pub is_cut: bool,
}

/// Why a copy was not continued.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FollowError {
    /// The log is not the one that the copy was made from. Permanent.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The copy on the volume of this engine does not verify. Permanent.
    #[error("the copy of the log on the volume of this engine does not verify")]
    Damaged,
    /// The copy cannot be written now.
    #[error("the copy of the log cannot be written: {0}")]
    Unwritable(CommitError),
}

/// Channel on which the writer sends an answer.
pub type Answer<T> = Caller<Result<T, CommitError>>;

/// The request that a command was made for: where its answer goes, and its span, in which the writer works for it.
#[derive(Debug)]
pub struct Caller<T> {
    sender: oneshot::Sender<T>,
    span: Span,
}

impl<T> Caller<T> {
    /// Makes the channel for the request whose span is current.
    pub fn channel() -> (Caller<T>, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Caller { sender, span: Span::current() }, receiver)
    }

    /// Sends the answer. A caller that is gone needs none.
    pub fn send(self, answer: T) {
        drop(self.sender.send(answer));
    }

    /// The span of the request.
    pub fn span(&self) -> &Span {
        &self.span
    }
}

impl WriterCommand {
    /// The span of the request that the command was made for.
    pub fn span(&self) -> &Span {
        match self {
            WriterCommand::Commit(Commit { reply, .. }) | WriterCommand::Erase(Erase { reply, .. }) => {
                reply.span()
            }
            WriterCommand::Rotate(reply) => reply.span(),
            WriterCommand::RotateKey(reply) => reply.span(),
            WriterCommand::Anchor(_, reply) => reply.span(),
            WriterCommand::Follow(received) => received.reply.span(),
        }
    }
}

/// Result of a rotation to a new segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rotated {
    /// Number of the segment that is being written now.
    pub segment: u64,
    /// Number of the first event in the new segment.
    pub first_seq: u64,
}

/// Result of a signing key rotation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeyRotated {
    /// The previous verifier key.
    pub old: String,
    /// The new verifier key.
    pub new: String,
}

/// A request to erase payloads.
#[derive(Debug)]
pub struct Erase {
    /// The events that record the erasure.
    pub drafts: Vec<Draft>,
    /// Number of the last event whose payload is erased.
    pub through: u64,
    /// Idempotency key, if the client sent one.
    pub key: Option<Key>,
    /// Where the answer goes.
    pub reply: Reply,
}

/// A request to make events durable atomically.
#[derive(Debug)]
pub struct Commit {
    /// The events.
    pub drafts: Vec<Draft>,
    /// Idempotency key, if the client sent one.
    pub key: Option<Key>,
    /// Where the answer goes.
    pub reply: Reply,
}

pub(crate) type Reply = Answer<Receipt>;

/// An idempotency key and the request it is bound to.
#[derive(Debug)]
pub struct Key {
    /// The key.
    pub key: String,
    /// The request in canonical form: equal requests have equal bytes.
    pub request: Vec<u8>,
}

/// Acknowledgement of durable events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Id of the last event.
    pub id: String,
    /// Number of the first event.
    pub first_seq: u64,
    /// Number of the last event.
    pub last_seq: u64,
    /// Hash of the last event.
    pub hash: Hash,
    /// Whether an earlier request with the same idempotency key had already made them durable.
    pub replayed: bool,
}

impl Receipt {
    /// Creates the receipt of `request`.
    pub fn of(request: &Request, replayed: bool) -> Receipt {
        let Request { id, first_seq, last_seq, hash, .. } = request.clone();
        Receipt { id, first_seq, last_seq, hash, replayed }
    }
}

/// Why events are not durable, or not known to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommitError {
    #[error("too many requests are waiting to be written")]
    Overloaded,
    #[error("the volume is full")]
    Full,
    #[error("the volume failed")]
    Failing,
    #[error("the log failed verification")]
    Corrupt,
    #[error("the idempotency key was used with another request")]
    Conflict,
    #[error("idempotency keys cannot be looked up now")]
    KeysUnknown,
    #[error("the engine is stopping")]
    Stopping,
    #[error("this engine follows another one and writes no events of its own")]
    Following,
}

/// A durable group of events for the projection to apply.
#[derive(Debug)]
pub struct DurableGroup {
    /// Complete lines of the log.
    pub lines: Vec<u8>,
    /// Number of the first event.
    pub first_seq: u64,
}

/// Lookup of the idempotency keys of all events that the projection has applied.
pub trait AppliedKeys: Send + Sync {
    /// Number of the last applied event. All keys up to it are known.
    fn applied_seq(&self) -> u64;
    /// Looks up the request with the idempotency key `key`. Returns the number of the last applied event, and the
    /// request if one has this key. Returns `None` if the projection cannot be read.
    fn find(&self, key: &str) -> Option<(u64, Option<Request>)>;
}
