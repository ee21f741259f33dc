//! Appends events to the log, and reads the head, checkpoints and proofs of the log. With these a client can verify the
//! log without trusting the engine.

use engine_core::access::Scope;
use engine_core::digest::Hash;
use engine_core::format::EventLine;
use engine_core::merkle::{leaf, verify_inclusion};
use engine_core::request;
use engine_core::wire::{
    AppendEvents, Appended, CheckpointView, ConsistencyAnswer, ErrorCode, InclusionAnswer, LogHead,
};
use serde_json::value::RawValue;

use super::handle::{Operations, Written};
use super::idempotency::SentKey;
use crate::engine::Engine;
use crate::refusal::{Refusal, ended, log_corrupt};
use engine_log::{Head, stored_envelope};
use service::in_span;

impl Operations {
    /// Makes events durable: either all of them or none.
    pub(crate) async fn append(
        &self,
        mut request: AppendEvents,
        key: Option<SentKey>,
    ) -> Result<Written<Appended>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let drafts = request::events(request)?;
        let receipt = self.commit(drafts, key).await?;
        let appended = Appended {
            first_seq: receipt.first_seq,
            last_seq: receipt.last_seq,
            hash: receipt.hash.to_string(),
        };
        Ok(Written::new(&receipt, appended))
    }

    /// The last durable event.
    ///
    /// # Errors
    /// The log is not open yet, or does not verify.
    pub(crate) fn head(&self) -> Result<LogHead, Refusal> {
        self.permit_log(Scope::Read)?;
        let Head { log_id, seq, hash, .. } = durable_head(&self.engine)?;
        Ok(LogHead { log_id, seq, hash: hash.to_string() })
    }

    /// A signed checkpoint for the head.
    ///
    /// # Errors
    /// The log is not open yet.
    pub(crate) fn checkpoint(&self) -> Result<CheckpointView, Refusal> {
        self.permit_log(Scope::Read)?;
        self.engine.head_checkpoint().ok_or_else(not_open)
    }

    /// Returns an inclusion receipt for one event. Together with the verifier key it proves that the event is in the
    /// log.
    ///
    /// # Errors
    /// The event does not exist, or the log does not verify at or before it.
    pub(crate) async fn proof(&self, seq: u64) -> Result<InclusionAnswer, Refusal> {
        let permit = self.permit_log(Scope::Read)?;
        let own = self.own_projects().await?;
        let engine = self.engine.clone();
        let prove = move || {
            let (answer, project) = inclusion(&engine, seq)?;
            // An event of another project does not exist for the caller.
            Ok::<_, Refusal>(Some(answer).filter(|_| own.is_none_or(|own| own.contains(&project))))
        };
        let proved = tokio::task::spawn_blocking(in_span(prove)).await.map_err(ended)??;
        proved.ok_or_else(|| {
            self.record_hidden(&permit);
            no_such_event(seq)
        })
    }

    /// Number of events in the Merkle tree of the log.
    ///
    /// # Errors
    /// The caller may not know it.
    pub(crate) fn tree_size(&self) -> Result<u64, Refusal> {
        self.permit(Scope::Read)?;
        Ok(self.engine.log_handles.context.tree.size())
    }

    /// Returns the proof that the log at size `to` extends the log at size `from`. Both sizes must be at most
    /// [`Operations::tree_size`].
    pub(crate) async fn consistency(&self, from: u64, to: u64) -> Result<ConsistencyAnswer, Refusal> {
        self.permit_log(Scope::Read)?;
        let engine = self.engine.clone();
        let prove = move || {
            let tree = &engine.log_handles.context.tree;
            let proof = tree.consistency(from, to)?.unwrap_or_default();
            let (from_root, to_root) = (tree.root_at(from)?.to_string(), tree.root_at(to)?.to_string());
            Ok(ConsistencyAnswer { from, from_root, to, to_root, proof: texts(&proof) })
        };
        tokio::task::spawn_blocking(in_span(prove)).await.map_err(ended)?
    }
}

/// The last durable event.
///
/// # Errors
/// The log is not open yet, or does not verify.
pub(super) fn durable_head(engine: &Engine) -> Result<Head, Refusal> {
    let published = &engine.published;
    published.head().ok_or_else(|| if published.fault().is_some() { log_corrupt() } else { not_open() })
}

/// Returns an error if event `seq` is at or after the first place where the log does not verify.
pub(super) fn unreadable(engine: &Engine, seq: u64) -> Option<Refusal> {
    (seq > engine.published.readable_through()).then(log_corrupt)
}

/// The proof of an event, and the event's project.
fn inclusion(engine: &Engine, seq: u64) -> Result<(InclusionAnswer, String), Refusal> {
    let line = engine.log.lines_after(seq - 1, 1, 0)?;
    if line.is_empty() {
        return Err(unreadable(engine, seq).unwrap_or_else(|| no_such_event(seq)));
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let event = EventLine::decode(line).map_err(|_| log_corrupt())?;
    let (hash, project) = (event.hash, event.envelope.project.into_owned());
    let checkpoint = engine.head_checkpoint().ok_or_else(not_open)?;
    let proof = engine
        .log_handles
        .context
        .tree
        .inclusion(seq - 1, checkpoint.size)?
        .ok_or_else(|| no_such_event(seq))?;
    // The stored tree is only a cache, so its proof is verified before it is returned.
    let root = Hash::from_hex(checkpoint.root.as_bytes()).unwrap_or(Hash::ZERO);
    if verify_inclusion(&leaf(&hash), seq - 1, checkpoint.size, &proof, &root).is_err() {
        engine.log_handles.context.tree.distrust(&*engine.log_handles.context.storage);
        return Err(Refusal::new(ErrorCode::StorageFailure, "the proof cannot be computed now")
            .hint("the tree is rebuilt automatically; repeat it after Retry-After seconds"));
    }
    let answer = InclusionAnswer {
        seq,
        envelope: stored_envelope(line)
            .and_then(|text| RawValue::from_string(text).ok())
            .ok_or_else(log_corrupt)?,
        hash: hash.to_string(),
        index: seq - 1,
        size: checkpoint.size,
        proof: texts(&proof),
        checkpoint: checkpoint.note,
    };
    Ok((answer, project))
}

/// Converts hashes to the form used in responses.
pub(crate) fn texts(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(Hash::to_string).collect()
}

/// The error for a request that arrives before the log is open.
pub(crate) fn not_open() -> Refusal {
    Refusal::new(ErrorCode::StorageFailure, "the log is not open yet")
        .hint("repeat it after Retry-After seconds")
}

fn no_such_event(seq: u64) -> Refusal {
    Refusal::new(ErrorCode::EntryNotFound, format!("there is no event {seq}"))
        .hint("GET /v1/log/head reports the last event")
}
