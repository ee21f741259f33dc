//! Events that the engine writes about its own log.

use engine_core::anchor::rollback_key;
use engine_core::event::{Draft, LOG_KEY_ROTATED, LOG_PROJECT, LOG_ROLLBACK_ACCEPTED};
use serde::Serialize;

use super::commit::{Caller, Commit, CommitError, Key, KeyRotated, Receipt};
use super::writer::Writer;

/// Actor of these events.
pub(super) const ACTOR: &str = "memory-engine";

#[derive(Serialize)]
struct Rotation<'a> {
    old: &'a str,
    new: &'a str,
}

impl Writer {
    /// Generates a new key, records it in the log and signs the next checkpoint with both keys.
    pub(super) fn rotate_key(&mut self) -> Result<KeyRotated, CommitError> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let prepared = self
            .handles
            .attestation
            .prepare_key(&self.handles.context)
            .map_err(|fault| failed("mint", &fault))?;
        let Some(rotated) = prepared else { return Err(CommitError::Failing) };
        self.complete_key_rotation(rotated)
    }

    /// Completes the started key rotation `rotated`. Every step is idempotent.
    fn complete_key_rotation(&mut self, rotated: KeyRotated) -> Result<KeyRotated, CommitError> {
        let payload = Rotation { old: &rotated.old, new: &rotated.new };
        self.record(LOG_KEY_ROTATED, Some(format!("key-{}", key_id(&rotated.new))), &payload)?;
        self.handles
            .attestation
            .promote_key(&self.handles.context)
            .map_err(|fault| failed("promote", &fault))?;
        match self.handles.attestation.write_local(&self.handles.context) {
            Ok(_) => tracing::info!(key = rotated.new, "checkpoints are signed with a new key"),
            Err(fault) => tracing::warn!(%fault, "the first checkpoint of the new key was not written yet"),
        }
        Ok(rotated)
    }

    /// Completes a key rotation that was started before a crash, and records a rollback that was accepted with an
    /// anchor.
    pub(super) fn resume_pending_work(&mut self) {
        if self.refusal().is_some() {
            return;
        }
        if let Some(rotated) = self.handles.attestation.key_rotation_begun() {
            // A failure is retried at the next check.
            drop(self.complete_key_rotation(rotated));
        }
        if let Some(accepted) = self.handles.attestation.acceptance() {
            let key = rollback_key(accepted.number);
            if self.record(LOG_ROLLBACK_ACCEPTED, Some(key), &accepted).is_ok() {
                tracing::warn!(
                    number = accepted.number,
                    to_size = accepted.to_size,
                    "the rollback that was accepted is recorded"
                );
                self.handles.attestation.acceptance_recorded();
            }
        }
    }

    /// Writes one of the engine's own events, at most once per key.
    pub(super) fn record(
        &mut self,
        kind: &str,
        key: Option<String>,
        payload: &impl Serialize,
    ) -> Result<Receipt, CommitError> {
        let payload =
            serde_json::value::to_raw_value(payload).expect("a struct of strings and numbers is always JSON");
        let request = [kind.as_bytes(), b"\n", payload.get().as_bytes()].concat();
        let draft = Draft {
            kind: kind.into(),
            actor: ACTOR.into(),
            project: LOG_PROJECT.into(),
            session: None,
            causes: Vec::new(),
            payload,
        };
        let (reply, mut answer) = Caller::channel();
        self.commit_own(Commit { drafts: vec![draft], key: key.map(|key| Key { key, request }), reply });
        answer.try_recv().unwrap_or(Err(CommitError::Failing))
    }
}

/// The part of a verifier key that distinguishes keys with the same name.
fn key_id(verifier: &str) -> &str {
    verifier.split('+').nth(1).unwrap_or_default()
}

fn failed(step: &'static str, fault: &std::io::Error) -> CommitError {
    tracing::error!(step, %fault, "the key rotation failed; it is continued later");
    CommitError::Failing
}
