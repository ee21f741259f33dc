//! HTTP/JSON: two routers, one for clients and one for the platform.

mod admin;
mod body;
mod events;
mod log;
mod memories;
mod parameters;
mod retrieval;
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use engine_core::wire::ErrorCode;

pub(crate) use server::{Serving, serve};

use crate::engine::Engine;
use crate::operations::Operations;
use crate::refusal::{self, Refusal};
use body::BodyBudget;

/// From the last byte of the head to the first of the answer, the body's arrival included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What handlers work with.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    engine: Arc<Engine>,
    operations: Operations,
    bodies: Arc<BodyBudget>,
}

/// The clients' port.
pub(crate) fn routes(engine: Arc<Engine>) -> Router {
    let operations = Operations::new(Arc::clone(&engine));
    let api = Api { engine, operations, bodies: Arc::new(BodyBudget::new()) };
    Router::new()
        .route("/v1/memories", post(memories::save))
        .route("/v1/memories/{id}", get(memories::read))
        .route("/v1/memories/{id}/invalidate", post(memories::invalidate))
        .route("/v1/search", get(memories::search))
        .route("/v1/checkout", post(retrieval::checkout))
        .route(
            "/v1/retrieval/weights",
            get(retrieval::weights).put(retrieval::set_weights).delete(retrieval::reset_weights),
        )
        .route("/v1/events", post(events::append).get(events::page))
        .route("/v1/log/head", get(events::head))
        .route("/v1/log/checkpoint", get(log::checkpoint))
        .route("/v1/log/proof/{seq}", get(log::proof))
        .route("/v1/log/consistency", get(log::consistency))
        .fallback(refusal::not_found)
        .method_not_allowed_fallback(refusal::method_not_allowed)
        .layer(middleware::from_fn(bound_time))
        .layer(middleware::from_fn_with_state(api.clone(), count))
        .with_state(api)
}

/// The platform's port.
pub(crate) fn admin_routes(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/livez", get(admin::livez))
        .route("/readyz", get(admin::readyz))
        .route("/health", get(admin::health))
        .route("/metrics", get(admin::metrics))
        .route("/embedding", get(admin::embedding))
        .route("/rebuild", post(admin::rebuild))
        .route("/checkpoint", get(admin::checkpoint))
        .route("/anchor", post(admin::anchor))
        .route("/rotate", post(admin::rotate))
        .route("/rotate-key", post(admin::rotate_key))
        .fallback(refusal::not_found)
        .method_not_allowed_fallback(refusal::method_not_allowed)
        .layer(middleware::from_fn(bound_time))
        .with_state(engine)
}

async fn bound_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(ErrorCode::RequestTimeout, "the request took longer than 30 s")
            .hint(
                "send the whole body at once; a write may have happened: repeat it with its Idempotency-Key",
            )
            .into_response(),
    }
}

/// Counts by route, not by path: a path has ids in it.
async fn count(State(api): State<Api>, path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = path.as_ref().map_or("none", MatchedPath::as_str);
    let code = response.status();
    api.engine.metrics.http_requests.with_label_values(&[route, code.as_str()]).inc();
    tracing::debug!(%method, route, code = code.as_u16(), elapsed = ?started.elapsed(), "answered");
    response
}
