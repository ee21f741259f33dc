//! The platform's port: alive, ready, well, measured.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine_core::wire::{Health, ProjectionHealth};

use super::refusal::{Refusal, internal};
use crate::engine::Engine;

/// 200 unless only a restart would help.
pub(super) async fn livez(State(engine): State<Arc<Engine>>) -> (StatusCode, &'static str) {
    match engine.is_alive() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::INTERNAL_SERVER_ERROR, "a thread of the engine has ended\n"),
    }
}

/// 200 when requests should be sent here; a full volume still reads.
pub(super) async fn readyz(State(engine): State<Arc<Engine>>) -> (StatusCode, &'static str) {
    match engine.is_ready() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready: see /health\n"),
    }
}

pub(super) async fn health(State(engine): State<Arc<Engine>>) -> Json<Health> {
    Json(engine.health())
}

pub(super) async fn metrics(State(engine): State<Arc<Engine>>) -> Result<Response, Refusal> {
    let text = engine.scrape().map_err(|fault| internal(&fault))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// Has the projection built anew beside the one that answers; `/health` tells how far it is. Asked for twice, it is built
/// once.
pub(super) async fn rebuild(State(engine): State<Arc<Engine>>) -> (StatusCode, Json<ProjectionHealth>) {
    engine.projection.request_rebuild();
    (StatusCode::ACCEPTED, Json(engine.health().projection))
}
