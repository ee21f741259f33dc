//! Handlers of the admin port for keys.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use engine_core::wire::{TokenCreated, Tokens};
use service::in_span;

use super::mode::read;
use crate::access::AccessControl;
use crate::refusal::{Refusal, ended};

/// Lists every key. No answer has the key itself.
pub(super) async fn list(Extension(control): Extension<Arc<AccessControl>>) -> Json<Tokens> {
    Json(control.tokens())
}

/// Makes a key, which the answer has. It is nowhere else.
pub(super) async fn create(
    Extension(control): Extension<Arc<AccessControl>>,
    body: Body,
) -> Result<Json<TokenCreated>, Refusal> {
    let request = read(body).await?;
    let created = tokio::task::spawn_blocking(in_span(move || control.create(request)));
    created.await.map_err(ended)?.map(Json)
}

/// Revokes a key of the engine.
pub(super) async fn revoke(
    Extension(control): Extension<Arc<AccessControl>>,
    body: Body,
) -> Result<Json<Tokens>, Refusal> {
    let request = read(body).await?;
    let revoked = tokio::task::spawn_blocking(in_span(move || control.revoke(&request)));
    revoked.await.map_err(ended)?.map(Json)
}

/// Forbids caches to keep an answer.
pub(super) async fn keep_nowhere(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
