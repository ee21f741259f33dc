//! `/v1/log/...`: what anybody may check about the log without trusting the engine.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use engine_core::digest::Hash;
use engine_core::format::EventLine;
use engine_core::merkle::{leaf, verify_inclusion};
use engine_core::request::{Refused, number};
use engine_core::wire::{ConsistencyAnswer, ErrorCode, InclusionAnswer};
use serde_json::value::RawValue;

use super::Api;
use super::events::unreadable;
use super::parameters::Parameters;
use crate::engine::Engine;
use crate::log::stored_envelope;
use crate::refusal::{Refusal, internal, log_corrupt};

/// Numbers of events are below 2^63.
const SEQ_MAX: u64 = i64::MAX.unsigned_abs();

pub(super) async fn checkpoint(State(api): State<Api>) -> Result<Response, Refusal> {
    let view = api.engine.head_checkpoint().ok_or_else(not_open)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], view.note).into_response())
}

pub(super) async fn proof(
    State(api): State<Api>,
    seq: Result<Path<String>, PathRejection>,
) -> Result<Json<InclusionAnswer>, Refusal> {
    let seq = seq.map(|Path(seq)| seq).map_err(|_| Refused::Range { field: "seq", min: 1, max: SEQ_MAX })?;
    let seq = number("seq", &seq, 1, SEQ_MAX)?;
    let prove = move || inclusion(&api.engine, seq);
    tokio::task::spawn_blocking(prove).await.map_err(|fault| internal(&fault))?.map(Json)
}

fn inclusion(engine: &Engine, seq: u64) -> Result<InclusionAnswer, Refusal> {
    let line = engine.log.lines_after(seq - 1, 1, 0)?;
    if line.is_empty() {
        return Err(unreadable(engine, seq).unwrap_or_else(|| no_such_event(seq)));
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let hash = EventLine::decode(line).map_err(|_| log_corrupt())?.hash;
    let checkpoint = engine.head_checkpoint().ok_or_else(not_open)?;
    let proof = engine.parts.tree.inclusion(seq - 1, checkpoint.size)?.ok_or_else(|| no_such_event(seq))?;
    // The stored tree is disposable: a proof it gives is checked before anybody relies on it.
    let root = Hash::from_hex(checkpoint.root.as_bytes()).unwrap_or(Hash::ZERO);
    if verify_inclusion(&leaf(&hash), seq - 1, checkpoint.size, &proof, &root).is_err() {
        engine.parts.tree.distrust(&*engine.parts.storage);
        return Err(Refusal::new(ErrorCode::StorageFailure, "the proof cannot be made now")
            .hint("the tree is built anew by itself; repeat it after Retry-After seconds"));
    }
    Ok(InclusionAnswer {
        seq,
        envelope: stored_envelope(line)
            .and_then(|text| RawValue::from_string(text).ok())
            .ok_or_else(log_corrupt)?,
        hash: hash.to_string(),
        index: seq - 1,
        size: checkpoint.size,
        proof: texts(&proof),
        checkpoint: checkpoint.note,
    })
}

pub(super) async fn consistency(
    State(api): State<Api>,
    parameters: Parameters,
) -> Result<Json<ConsistencyAnswer>, Refusal> {
    let parameters = parameters.known(&["from", "to"])?;
    let size = api.engine.parts.tree.size();
    let to = parameters.number("to", 0, size)?.unwrap_or(size);
    let from = parameters.number("from", 0, to)?.unwrap_or(0);
    let prove = move || {
        let tree = &api.engine.parts.tree;
        let proof = tree.consistency(from, to)?.unwrap_or_default();
        let (from_root, to_root) = (tree.root_at(from)?.to_string(), tree.root_at(to)?.to_string());
        Ok(ConsistencyAnswer { from, from_root, to, to_root, proof: texts(&proof) })
    };
    tokio::task::spawn_blocking(prove).await.map_err(|fault| internal(&fault))?.map(Json)
}

pub(super) fn texts(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(Hash::to_string).collect()
}

pub(super) fn not_open() -> Refusal {
    Refusal::new(ErrorCode::StorageFailure, "the log is not open yet")
        .hint("repeat it after Retry-After seconds")
}

fn no_such_event(seq: u64) -> Refusal {
    Refusal::new(ErrorCode::EntryNotFound, format!("there is no event {seq}"))
        .hint("GET /v1/log/head says how many there are")
}
