//! What the engine says of its log under its signature, and what it was told about it from outside.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine_core::anchor::{self, Held, LogFacts, Taken};
use engine_core::checkpoint::{Checkpoint, Position, origin};
use engine_core::digest::Hash;
use engine_core::wire::{AcceptedRollback, Anchor, CheckpointView, GivenAnchor, IntegrityFault};

use super::commit::KeyRotated;
use super::context::LogContext;
use super::keyring::Keyring;
use super::local;
use crate::storage::FailPoint;

/// How far the checkpoint of the report may be behind the head: signing one for every look would cost more than it
/// tells.
const REPORT_AGE_MAX: Duration = Duration::from_secs(1);

/// Keys, the newest checkpoint, and the anchor. Set by the writer, read by everybody.
#[derive(Debug, Default)]
pub struct Attestation(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    keyring: Option<Keyring>,
    newest: Option<(Instant, CheckpointView)>,
    /// What was given last, also before the log was open.
    given: Option<GivenAnchor>,
    held: Held,
    /// What the log's own checkpoint said when the log was opened.
    claim: Option<Checkpoint>,
    /// Size of the largest checkpoint that this log's key signed and the log matches.
    signed_size: u64,
    /// To be recorded in the log.
    acceptance: Option<AcceptedRollback>,
}

impl Attestation {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the keys of the log that was opened; mints one if need be.
    pub(super) fn keys_of(
        &self,
        context: &LogContext,
        loaded: Option<Keyring>,
        log_id: &str,
    ) -> io::Result<()> {
        let keyring = Keyring::of_log(&*context.storage, loaded, log_id, &context.clock)?;
        let mut state = self.state();
        state.keyring = Some(keyring);
        state.newest = None;
        Ok(())
    }
}

/// Checkpoints.
impl Attestation {
    /// A checkpoint for the head of the log, signed now if none is that new. None before the log is open.
    pub fn head(&self, context: &LogContext) -> Option<CheckpointView> {
        self.no_older_than(context, Duration::ZERO)
    }

    /// A checkpoint for a head of no more than a second ago.
    pub fn recent(&self, context: &LogContext) -> Option<CheckpointView> {
        self.no_older_than(context, REPORT_AGE_MAX)
    }

    fn no_older_than(&self, context: &LogContext, age_max: Duration) -> Option<CheckpointView> {
        let mut state = self.state();
        let keyring = state.keyring.as_ref()?;
        let (size, root) = context.tree.head();
        if let Some((made, view)) = &state.newest
            && (view.size == size || made.elapsed() < age_max)
        {
            return Some(view.clone());
        }
        let view = sign(keyring, size, root, None)?;
        state.newest = Some((Instant::now(), view.clone()));
        Some(view)
    }

    /// Writes the checkpoint the next start begins at. Answers its size.
    pub(super) fn write_local(&self, context: &LogContext) -> io::Result<Option<u64>> {
        // The head first: the tree has everything up to it, and may have more.
        let Some((head, segments)) = context.published.extent() else { return Ok(None) };
        let Some(segment) = segments.last() else { return Ok(None) };
        context.tree.sync()?;
        context.storage.reached(FailPoint::TreeDurable)?;
        let root = context.tree.root_at(head.seq)?;
        let position = Position { first_seq: segment.first_seq, offset: head.len, hash: head.line };
        let mut state = self.state();
        let Some(keyring) = &mut state.keyring else { return Ok(None) };
        if keyring.current.verifier().name() != origin(&head.log_id) {
            return Ok(None);
        }
        let Some(view) = sign(keyring, head.seq, root, Some(position)) else { return Ok(None) };
        local::write(&*context.storage, &view.note)?;
        keyring.retire_previous(&*context.storage)?;
        state.newest = None;
        state.signed_size = state.signed_size.max(head.seq);
        Ok(Some(head.seq))
    }
}

fn sign(keyring: &Keyring, size: u64, root: Hash, position: Option<Position>) -> Option<CheckpointView> {
    let key = keyring.current.verifier();
    let extensions = position.iter().map(Position::to_string).collect();
    let checkpoint = Checkpoint { origin: key.name().to_owned(), size, root, extensions };
    match checkpoint.sign(&keyring.signers()) {
        Ok(note) => Some(checkpoint.view(&note, key)),
        Err(fault) => {
            tracing::error!(%fault, "a checkpoint could not be signed");
            None
        }
    }
}

/// Keys.
impl Attestation {
    /// Mints the key that is to come; which one it is and which one it follows.
    pub(super) fn prepare_key(&self, context: &LogContext) -> io::Result<Option<KeyRotated>> {
        let mut state = self.state();
        let Some(keyring) = &mut state.keyring else { return Ok(None) };
        keyring.prepare(&*context.storage, &context.clock)?;
        Ok(keyring.rotation())
    }

    /// A change of keys that has not come to its end.
    pub(super) fn key_rotation_begun(&self) -> Option<KeyRotated> {
        self.state().keyring.as_ref().and_then(Keyring::rotation)
    }

    /// The log says so: the next key is the key.
    pub(super) fn promote_key(&self, context: &LogContext) -> io::Result<()> {
        let mut state = self.state();
        state.newest = None;
        state.keyring.as_mut().map_or(Ok(()), |keyring| keyring.promote(&*context.storage))
    }
}

/// Anchors.
impl Attestation {
    /// Takes what was recorded of the log elsewhere; it counts with the next [`Attestation::judge`].
    pub(super) fn give(&self, given: Option<GivenAnchor>) {
        if given.is_some() {
            self.state().given = given;
        }
    }

    /// Takes what the log's own checkpoint says of it.
    pub(super) fn claim(&self, claim: Option<Checkpoint>) {
        self.state().claim = claim;
    }

    /// Holds the log that is open against what was recorded of it, by others and by itself.
    pub(super) fn judge(&self, context: &LogContext) -> io::Result<()> {
        let mut state = self.state();
        let state = &mut *state;
        let Some(head) = context.published.head() else { return Ok(()) };
        let size = head.seq;
        let claim_root = state.claim.as_ref().filter(|claim| claim.size <= size);
        let claim_root = claim_root.map(|claim| context.tree.root_at(claim.size)).transpose()?;
        if let Some(claim) = state.claim.as_ref().filter(|claim| claim_root == Some(claim.root)) {
            state.signed_size = state.signed_size.max(claim.size);
        }
        let mut facts = LogFacts {
            origin: origin(&head.log_id),
            size,
            root_at_anchor: None,
            signed_size: state.signed_size,
        };
        let mut accepted = None;
        if let Some(given) = &state.given {
            let needed = anchor::needed_root(given).filter(|needed| *needed <= size);
            facts.root_at_anchor = needed.map(|needed| context.tree.root_at(needed)).transpose()?;
            let taken = state.held.take(given, &facts);
            tracing::info!(?given, ?taken, "the log was held against an anchor");
            if let Taken::Extends(acceptance) = taken {
                accepted = acceptance;
            }
        }
        // Who accepted that events are lost has accepted that the log's own checkpoint knew them.
        let own = state.claim.as_ref().filter(|_| accepted.is_none());
        let own =
            own.and_then(|claim| contradiction(claim, &LogFacts { root_at_anchor: claim_root, ..facts }));
        let fault = state.held.fault().cloned().or(own);
        if let Some(fault) = &fault {
            tracing::error!(?fault, "the log is not what it was: nothing is written until somebody decides");
            context.metrics.integrity_faults.inc();
        } else {
            state.claim = None;
        }
        context.published.judged(state.held.anchor().cloned(), fault);
        state.acceptance = accepted.or(state.acceptance.take());
        Ok(())
    }

    /// A decision that the log does not record yet.
    pub(super) fn acceptance(&self) -> Option<AcceptedRollback> {
        self.state().acceptance.clone()
    }

    pub(super) fn acceptance_recorded(&self) {
        self.state().acceptance = None;
    }
}

/// What the log's own checkpoint says against it: it is never written ahead of the log.
fn contradiction(claim: &Checkpoint, facts: &LogFacts) -> Option<IntegrityFault> {
    let (origin, root) = (claim.origin.clone(), claim.root.to_string());
    let anchor = Anchor { origin, size: claim.size, root, rollbacks: 0 };
    anchor::judge(&GivenAnchor::Known { anchor, accepted: None }, facts).err()
}
