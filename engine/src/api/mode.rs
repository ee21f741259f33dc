//! Handlers of the admin port for the mode: its report, and the requests that change it.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use engine_core::request::parse;
use engine_core::wire::{
    DeclareHold, ErrorCode, ForceMode, InvalidateContexts, Invalidated, ModeReport, PersonWantsMode, WantMode,
};
use http_body_util::{BodyExt, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::Session;
use crate::engine::Engine;
use crate::operations::Operations;
use crate::refusal::Refusal;

/// Maximum size of a body, bytes. The longest reason has two kilobytes.
const BODY_BYTES_MAX: usize = 16 << 10;

type Answer = Result<Json<ModeReport>, Refusal>;

/// Responds with the mode and the last transitions.
pub(super) async fn report(State(engine): State<Arc<Engine>>) -> Json<ModeReport> {
    Json(engine.modes.report())
}

/// Sets the wanted mode.
pub(super) async fn want(State(engine): State<Arc<Engine>>, body: Body) -> Answer {
    let request: WantMode = read(body).await?;
    engine.modes.want(request).await.map(Json)
}

/// Sets the wanted mode of an engine without an operator.
pub(super) async fn want_for_a_person(State(engine): State<Arc<Engine>>, body: Body) -> Answer {
    let mut request: PersonWantsMode = read(body).await?;
    (request.reason, request.by, _) = engine.hold_texts(&request.reason, &request.by).await?;
    engine.modes.want_for_a_person(request).await.map(Json)
}

/// Sets or removes the hold that the resource declares.
pub(super) async fn declare(State(engine): State<Arc<Engine>>, body: Body) -> Answer {
    let mut request: DeclareHold = read(body).await?;
    let mut redacted = false;
    if let Some(hold) = &mut request.hold {
        (hold.reason, hold.by, redacted) = engine.hold_texts(&hold.reason, &hold.by).await?;
    }
    engine.modes.declare(request, redacted).await.map(Json)
}

/// Sets a hold at this engine.
pub(super) async fn force(State(engine): State<Arc<Engine>>, body: Body) -> Answer {
    let mut request: ForceMode = read(body).await?;
    let redacted;
    (request.reason, request.by, redacted) = engine.hold_texts(&request.reason, &request.by).await?;
    engine.modes.force(request, redacted).await.map(Json)
}

/// Ends the hold at this engine and the guard's own.
pub(super) async fn clear(State(engine): State<Arc<Engine>>, body: Body) -> Answer {
    no_body(body).await?;
    engine.modes.clear().await.map(Json)
}

/// Removes the cached answers of a session.
pub(super) async fn invalidate(
    State(engine): State<Arc<Engine>>,
    body: Body,
) -> Result<Json<Invalidated>, Refusal> {
    let InvalidateContexts { session } = read(body).await?;
    Operations::new(engine, Session::local()).invalidate_contexts(session).await.map(Json)
}

/// Resets the counters of failures.
pub(super) async fn reset(State(engine): State<Arc<Engine>>, body: Body) -> Answer {
    no_body(body).await?;
    engine.modes.reset().await.map(Json)
}

/// Refuses a body where none is read, because whoever sends one expects it to have an effect.
pub(super) async fn no_body(body: Body) -> Result<(), Refusal> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map(|body| body.to_bytes());
    match body {
        Ok(body) if body.is_empty() => Ok(()),
        _ => Err(Refusal::new(ErrorCode::InvalidArgument, "this request has no body")
            .hint("send none; nothing was done")),
    }
}

pub(super) async fn read<T: DeserializeOwned + Serialize>(body: Body) -> Result<T, Refusal> {
    Ok(parse(&bytes(body).await?)?)
}

/// Reads a body that may be missing.
pub(super) async fn read_or_default<T: DeserializeOwned + Serialize + Default>(
    body: Body,
) -> Result<T, Refusal> {
    let bytes = bytes(body).await?;
    if bytes.is_empty() { Ok(T::default()) } else { Ok(parse(&bytes)?) }
}

async fn bytes(body: Body) -> Result<Bytes, Refusal> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|_| {
        Refusal::new(ErrorCode::PayloadTooLarge, "the body ended early or is too large for this request")
    })?;
    Ok(body.to_bytes())
}
