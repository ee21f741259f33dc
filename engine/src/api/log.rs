//! `/v1/log/...`: the head of the log, checkpoints and proofs. With these a client can verify the log without trusting
//! the engine.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use engine_core::request::{Refused, number};
use engine_core::wire::{ConsistencyAnswer, InclusionAnswer, LogHead};

use super::parameters::Parameters;
use super::state::Call;
use crate::operations::SEQ_MAX;
use crate::refusal::Refusal;

pub(super) async fn head(api: Call) -> Result<Json<LogHead>, Refusal> {
    api.operations.head().map(Json)
}

pub(super) async fn checkpoint(api: Call) -> Result<Response, Refusal> {
    let view = api.operations.checkpoint()?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], view.note).into_response())
}

pub(super) async fn proof(
    api: Call,
    seq: Result<Path<String>, PathRejection>,
) -> Result<Json<InclusionAnswer>, Refusal> {
    let seq = seq.map(|Path(seq)| seq).map_err(|_| Refused::Range { field: "seq", min: 1, max: SEQ_MAX })?;
    let seq = number("seq", &seq, 1, SEQ_MAX)?;
    api.operations.proof(seq).await.map(Json)
}

pub(super) async fn consistency(
    api: Call,
    parameters: Parameters,
) -> Result<Json<ConsistencyAnswer>, Refusal> {
    let parameters = parameters.known(&["from", "to"])?;
    let size = api.operations.tree_size()?;
    let to = parameters.number("to", 0, size)?.unwrap_or(size);
    let from = parameters.number("from", 0, to)?.unwrap_or(0);
    api.operations.consistency(from, to).await.map(Json)
}
