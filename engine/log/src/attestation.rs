//! Signed checkpoints of the log, and verification of the log against checkpoints and anchors recorded elsewhere.

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
use super::local_checkpoint;
use crate::storage::FailPoint;

/// Maximum age of the checkpoint in a health report. Signing a new checkpoint for every report would be too expensive.
const REPORT_AGE_MAX: Duration = Duration::from_secs(1);

/// Signing keys, the newest checkpoint and the anchor. The writer updates them; all threads read them.
#[derive(Debug, Default)]
pub struct Attestation(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    keyring: Option<Keyring>,
    /// Size of the log, in events, from which on every larger checkpoint is signed with the previous key too.
    previous_since: u64,
    newest: Option<(Instant, CheckpointView)>,
    /// The last anchor received, including one received before the log was open.
    given: Option<GivenAnchor>,
    held: Held,
    /// The local checkpoint, as it was found when the log was opened.
    claim: Option<Checkpoint>,
    /// Size, in events, of the largest checkpoint that is signed with a key of this log and matches the log.
    signed_size: u64,
    /// An accepted rollback that the log does not record yet.
    acceptance: Option<AcceptedRollback>,
}

impl Attestation {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics half-way through a change while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the loaded keys as the keys of the opened log. Generates a key if no key is usable.
    pub(super) fn keys_of(
        &self,
        context: &LogContext,
        loaded: Option<Keyring>,
        log_id: &str,
    ) -> io::Result<()> {
        let keyring = Keyring::of_log(&*context.storage, loaded, log_id, &context.clock)?;
        let mut state = self.state();
        state.keyring = Some(keyring);
        state.previous_since = context.tree.head().0;
        state.newest = None;
        Ok(())
    }
}

/// Checkpoints.
impl Attestation {
    /// A checkpoint of the current head. Signs a new checkpoint if the cached checkpoint is older than the head. `None`
    /// before the log is open.
    pub fn head(&self, context: &LogContext) -> Option<CheckpointView> {
        self.no_older_than(context, Duration::ZERO)
    }

    /// A checkpoint of the current head, or a checkpoint that was signed less than one second ago.
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

    /// Writes the local checkpoint, which tells the next start where to begin reading the log. Returns the size of the
    /// checkpoint in events.
    pub(super) fn write_local(&self, context: &LogContext) -> io::Result<Option<u64>> {
        // Read the head before the tree, so that the tree contains at least all events up to the head.
        let Some((head, segments)) = context.published.extent() else { return Ok(None) };
        let Some(segment) = segments.last() else { return Ok(None) };
        context.tree.sync()?;
        context.storage.reached(FailPoint::TreeDurable)?;
        let root = context.tree.root_at(head.seq)?;
        let position = Position { first_seq: segment.first_seq, offset: head.len, hash: head.line };
        let mut state = self.state();
        // Without an anchor nobody outside of the volume has to learn a new key.
        let is_kept_outside = state.given.is_some();
        let Some(keyring) = &mut state.keyring else { return Ok(None) };
        if keyring.current.verifier().name() != origin(&head.log_id) {
            return Ok(None);
        }
        let Some(view) = sign(keyring, head.seq, root, Some(position)) else { return Ok(None) };
        local_checkpoint::write(&*context.storage, &view.note)?;
        if !is_kept_outside {
            keyring.retire_previous(&*context.storage)?;
        }
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
    /// Generates the next key. Returns the current and the next verifier key.
    pub(super) fn prepare_key(&self, context: &LogContext) -> io::Result<Option<KeyRotated>> {
        let mut state = self.state();
        let Some(keyring) = &mut state.keyring else { return Ok(None) };
        keyring.prepare(&*context.storage, &context.clock)?;
        Ok(keyring.rotation())
    }

    /// The key rotation that was started and is not complete, if any.
    pub(super) fn key_rotation_begun(&self) -> Option<KeyRotated> {
        self.state().keyring.as_ref().and_then(Keyring::rotation)
    }

    /// Makes the next key the current one, after the log has recorded the rotation.
    pub(super) fn promote_key(&self, context: &LogContext) -> io::Result<()> {
        let mut state = self.state();
        state.newest = None;
        state.previous_since = context.tree.head().0;
        state.keyring.as_mut().map_or(Ok(()), |keyring| keyring.promote(&*context.storage))
    }
}

/// Anchors.
impl Attestation {
    /// Stores an anchor recorded outside the log. The next [`Attestation::judge`] uses it.
    pub(super) fn give(&self, given: Option<GivenAnchor>) {
        if given.is_some() {
            self.state().given = given;
        }
    }

    /// Stores the log's own local checkpoint for the next [`Attestation::judge`].
    pub(super) fn claim(&self, claim: Option<Checkpoint>) {
        self.state().claim = claim;
    }

    /// Verifies the open log against its anchor and its own local checkpoint.
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
            tracing::info!(?given, ?taken, "the log was verified against an anchor");
            if let Taken::Extends(acceptance) = taken {
                accepted = acceptance;
                let since = state.previous_since;
                state.keyring.iter_mut().for_each(|keyring| retire_if_known(given, since, keyring, context));
            }
        }
        // If a rollback was accepted, the local checkpoint may contain events that the log has lost, so it is not
        // checked.
        let own = state.claim.as_ref().filter(|_| accepted.is_none());
        let own =
            own.and_then(|claim| contradiction(claim, &LogFacts { root_at_anchor: claim_root, ..facts }));
        let fault = state.held.fault().cloned().or(own);
        if let Some(fault) = &fault {
            tracing::error!(?fault, "the log contradicts its anchor or checkpoint: writes are disabled");
            context.metrics.integrity_faults.inc();
        } else {
            state.claim = None;
        }
        context.published.judged(state.held.anchor().cloned(), fault);
        state.acceptance = accepted.or(state.acceptance.take());
        Ok(())
    }

    /// An accepted rollback that the log does not record yet.
    pub(super) fn acceptance(&self) -> Option<AcceptedRollback> {
        self.state().acceptance.clone()
    }

    pub(super) fn acceptance_recorded(&self) {
        self.state().acceptance = None;
    }
}

/// Removes the previous key once the anchor comes from a checkpoint that both keys signed: whoever recorded it knows
/// the new key then. Until that, only the previous key shows them that the new one is this log's.
fn retire_if_known(given: &GivenAnchor, previous_since: u64, keyring: &mut Keyring, context: &LogContext) {
    let GivenAnchor::Known { anchor, .. } = given else { return };
    if anchor.size > previous_since
        && let Err(fault) = keyring.retire_previous(&*context.storage)
    {
        tracing::warn!(%fault, "the previous key was not removed; it is tried again with the next anchor");
    }
}

/// The contradiction between the local checkpoint `claim` and the log, if any. A valid log is never behind its
/// checkpoint, because the checkpoint is written after the events that it covers.
fn contradiction(claim: &Checkpoint, facts: &LogFacts) -> Option<IntegrityFault> {
    let (origin, root) = (claim.origin.clone(), claim.root.to_string());
    let anchor = Anchor { origin, size: claim.size, root, rollbacks: 0 };
    anchor::judge(&GivenAnchor::Known { anchor, accepted: None }, facts).err()
}
