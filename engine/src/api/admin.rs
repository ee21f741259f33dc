//! Handlers of the admin port: probes, health, metrics, and maintenance of the log.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine_core::anchor::check_form;
use engine_core::configuration::shown_variable;
use engine_core::request::{Refused, parse};
use engine_core::wire::{
    CheckpointAnswer, ErrorCode, GivenAnchor, MetricsReport, ModelsHealth, PolicyReport, ProjectionHealth,
    RoleHealth,
};
use http_body_util::{BodyExt, Limited};

use super::parameters::Parameters;
use crate::engine::Engine;
use crate::engine::checks::{Check, LIVENESS, READINESS, READS, WRITES, report};
use crate::operations::{not_open, texts};
use crate::refusal::{Refusal, ended, internal};
use engine_log::{KeyRotated, Rotated};
use engine_retrieval::embeddings::EmbeddingStatus;
use service::in_span;

/// Maximum size of an anchor, bytes. An anchor has a few hundred bytes and a free-text reason.
const ANCHOR_BYTES_MAX: usize = 64 << 10;

/// Responds with 200, or with an error if only a restart of the process can help. With the parameter `verbose`, lists
/// the checks.
pub(super) async fn livez(State(engine): State<Arc<Engine>>, RawQuery(query): RawQuery) -> Probe {
    let (holds, lines) = report(&engine, "livez", LIVENESS);
    match (is_verbose(query), holds) {
        (false, true) => (StatusCode::OK, "ok\n".into()),
        (false, false) => (StatusCode::INTERNAL_SERVER_ERROR, "a thread of the engine has ended\n".into()),
        (true, true) => (StatusCode::OK, lines.into()),
        (true, false) => (StatusCode::INTERNAL_SERVER_ERROR, lines.into()),
    }
}

/// Responds with 200 if the engine can serve requests; with `for=reads` or `for=writes`, if exactly that is possible
/// now. With the parameter `verbose`, lists the checks. Another value of `for` is refused: a program that waits for
/// something else must not be told that it is there.
pub(super) async fn readyz(State(engine): State<Arc<Engine>>, RawQuery(query): RawQuery) -> Probe {
    let Some(checks) = wanted_checks(query.as_deref().unwrap_or_default()) else {
        return (StatusCode::BAD_REQUEST, "the parameter `for` must be reads or writes, once\n".into());
    };
    let (holds, lines) = report(&engine, "readyz", checks);
    match (is_verbose(query), holds) {
        (false, true) => (StatusCode::OK, "ok\n".into()),
        (false, false) if engine.is_stopping() => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n".into())
        }
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not ready: see /readyz?verbose\n".into()),
        (true, true) => (StatusCode::OK, lines.into()),
        (true, false) => (StatusCode::SERVICE_UNAVAILABLE, lines.into()),
    }
}

/// The checks that a query selects; none if the parameter `for` has an unknown value or occurs twice.
fn wanted_checks(query: &str) -> Option<&'static [Check]> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(name, _)| *name == "for").map(|(_, value)| value);
    match (values.next(), values.next()) {
        (None, _) => Some(READINESS),
        (Some("reads"), None) => Some(READS),
        (Some("writes"), None) => Some(WRITES),
        _ => None,
    }
}

type Probe = (StatusCode, Cow<'static, str>);

/// Whether a query has the parameter `verbose`, with a value or without. Parameters of another name are ignored,
/// because a probe must not fail on them.
fn is_verbose(query: Option<String>) -> bool {
    let query = query.unwrap_or_default();
    query.split('&').any(|pair| pair.split('=').next() == Some("verbose"))
}

/// Responds with the health report.
pub(super) async fn health(State(engine): State<Arc<Engine>>) -> Json<RoleHealth> {
    Json(engine.role_health())
}

/// Responds with the embedding model and the number of memories that have vectors.
pub(super) async fn embedding(State(engine): State<Arc<Engine>>) -> Json<EmbeddingStatus> {
    Json(engine.embedding_status())
}

/// Responds with what the policy forbids, by name.
pub(super) async fn policy(State(engine): State<Arc<Engine>>) -> Json<PolicyReport> {
    Json(engine.policy_report())
}

/// Responds with the models that the engine uses.
pub(super) async fn models(State(engine): State<Arc<Engine>>) -> Json<ModelsHealth> {
    Json(ModelsHealth { models: engine.models() })
}

/// Responds with durations of the last minutes and figures of the process.
pub(super) async fn metrics_json(State(engine): State<Arc<Engine>>) -> Json<MetricsReport> {
    Json(engine.metrics_report())
}

/// Responds with the variables of the environment that the engine reads. Secrets are masked.
pub(super) async fn config_env() -> Json<BTreeMap<String, serde_json::Value>> {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let shown = shown_variable(&name, &value)?;
        Some((name, shown))
    });
    Json(variables.collect())
}

/// Responds with all metrics, in the text format that Prometheus scrapes.
pub(super) async fn metrics(State(engine): State<Arc<Engine>>) -> Result<Response, Refusal> {
    let text = engine.scrape().map_err(|fault| internal(&fault))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// Starts a rebuild of the projection; the current projection keeps serving. `/health` reports the progress. A request
/// during a rebuild does not start another one.
pub(super) async fn rebuild(State(engine): State<Arc<Engine>>) -> (StatusCode, Json<ProjectionHealth>) {
    engine.projection.request_rebuild();
    (StatusCode::ACCEPTED, Json(engine.health().projection))
}

/// Responds with a checkpoint for the head. With the parameter `extends`, also with the proof that the checkpoint
/// extends the tree of that size.
pub(super) async fn checkpoint(
    State(engine): State<Arc<Engine>>,
    parameters: Parameters,
) -> Result<Json<CheckpointAnswer>, Refusal> {
    let parameters = parameters.known(&["extends"])?;
    let checkpoint = engine.head_checkpoint().ok_or_else(not_open)?;
    let Some(old) = parameters.number("extends", 0, checkpoint.size)? else {
        return Ok(Json(CheckpointAnswer { checkpoint, consistency: None }));
    };
    let size = checkpoint.size;
    let prove = move || engine.log_handles.context.tree.consistency(old, size);
    let proof = tokio::task::spawn_blocking(in_span(prove)).await.map_err(ended)??;
    Ok(Json(CheckpointAnswer { checkpoint, consistency: proof.as_deref().map(texts) }))
}

/// Verifies the log against an anchor. Responds with 200 and the integrity state, or with 409 if the log contradicts
/// the anchor.
pub(super) async fn anchor(State(engine): State<Arc<Engine>>, body: Body) -> Result<Response, Refusal> {
    let body = Limited::new(body, ANCHOR_BYTES_MAX).collect().await.map_err(|_| {
        Refusal::new(ErrorCode::PayloadTooLarge, "the body ended early or is too large for an anchor")
    })?;
    let given: GivenAnchor = parse(&body.to_bytes())?;
    check_form(&given).map_err(|fault| Refused::Body(fault.to_string()))?;
    let integrity = engine.anchor(given).await?;
    let code = if integrity.fault.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    Ok((code, Json(integrity)).into_response())
}

/// Seals the current segment of the log and starts a new one.
pub(super) async fn rotate(State(engine): State<Arc<Engine>>) -> Result<Json<Rotated>, Refusal> {
    Ok(Json(engine.rotate().await?))
}

/// Signs checkpoints with a new key from now on.
pub(super) async fn rotate_key(State(engine): State<Arc<Engine>>) -> Result<Json<KeyRotated>, Refusal> {
    Ok(Json(engine.rotate_key().await?))
}
