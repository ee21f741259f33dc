//! The HTTP/JSON API: one router for clients ([`routes`]) and one for probes, metrics and maintenance by the operator
//! ([`admin_routes`]).
//!
//! Handlers: [`memories`], [`entries`], [`retrieval`], [`events`], [`log`], [`forget`], [`retention`], [`items`],
//! [`graph`], [`adapters`] (clients of other products), [`mcp`], [`openapi`], [`admin`] and [`status_page`].
//!
//! Callers: [`public`] keeps out those from outside of the cluster while the engine has no ticket, [`authenticate`]
//! recognises them, and [`tokens`] makes keys for them. [`drill`] makes calls of a service fail. [`upkeep`] is asked
//! for on schedules. [`forward`] sends writes to the engine that owns the log, and [`following`] gives its lines to
//! those that follow it. [`canary`] compares answers with those of another revision.
//!
//! Requests: [`parameters`] and [`body`] parse them, [`body_budget`] and [`blocking`] limit the resources that they
//! use, [`identify`] gives them identifiers, [`callers`] keeps web pages of other sites away from the admin port, and
//! [`refusals`] builds error responses.
//!
//! Connections: [`server`] accepts them, [`admission`] and [`rate`] limit them per address, [`connection_timeouts`]
//! limits their duration, and [`stream`] refuses and closes them.

mod adapters;
mod admin;
mod admission;
mod authenticate;
mod backups;
mod blocking;
mod body;
mod body_budget;
mod callers;
mod canary;
mod connection_timeouts;
mod drill;
mod entries;
mod events;
mod following;
mod forget;
mod forward;
mod graph;
mod heard;
mod identify;
mod items;
mod log;
mod mcp;
mod memories;
mod mode;
mod openapi;
mod parameters;
mod public;
mod rate;
mod refusals;
mod retention;
mod retrieval;
mod server;
mod state;
mod status_page;
mod stream;
mod tokens;
mod upkeep;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post, put};
use axum::{Extension, Router};
use engine_core::wire::ErrorCode;

pub(crate) use identify::RequestSpan;
pub(crate) use rate::Buckets;
pub(crate) use server::{Port, Serving, serve};

use crate::access::AccessControl;
use crate::engine::Engine;
use crate::mcp::Access;
use crate::refusal::Refusal;
use body_budget::BodyBudget;
use state::Api;

/// Maximum time from the last byte of the head to the first byte of the response. It includes the arrival of the body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Routes of the clients' port. `buckets` limit the requests from each address.
pub(crate) fn routes(
    engine: Arc<Engine>,
    access: &Access,
    control: Arc<AccessControl>,
    buckets: Buckets,
) -> Router {
    let endpoint = access.service(Arc::clone(&engine));
    let api = Api { engine, control, bodies: Arc::new(BodyBudget::new()) };
    Router::new()
        .route("/mcp", any(mcp::endpoint).with_state((api.clone(), endpoint.clone())))
        .route("/mcp/", any(mcp::endpoint).with_state((api.clone(), endpoint)))
        .route("/v1/memories", post(memories::save))
        .route("/v1/memories/batch", post(entries::save_all))
        .route("/v1/memories/entries", post(entries::entries))
        .route("/v1/memories/{id}/history", get(entries::history))
        .route("/v1/timeline", get(entries::timeline))
        .route("/v1/documents", post(entries::documents))
        .route("/v1/feedback", post(entries::feedback))
        .route("/v1/memories/{id}", get(memories::read))
        .route("/v1/memories/{id}/invalidate", post(memories::invalidate))
        .route("/v1/search", get(memories::search))
        .route("/v1/checkout", post(retrieval::checkout))
        .route(
            "/v1/retrieval/weights",
            get(retrieval::weights).put(retrieval::set_weights).delete(retrieval::reset_weights),
        )
        .route("/v1/events", post(events::append).get(events::page))
        .route("/v1/forget", post(forget::forget))
        .route("/v1/retention/plan", post(retention::plan))
        .route("/v1/retention/apply", post(retention::apply))
        .route("/v1/items", put(items::put).get(items::read).delete(items::delete))
        .route("/v1/items/versions", get(items::versions))
        .route("/v1/items/search", post(items::search))
        .route("/v1/items/namespaces", post(items::namespaces))
        .route("/v1/entities", post(graph::create))
        .route("/v1/entities/end", post(graph::end_entities))
        .route("/v1/entities/observations", post(graph::observe))
        .route("/v1/entities/observations/end", post(graph::end_observations))
        .route("/v1/relations", post(graph::relate))
        .route("/v1/relations/end", post(graph::end_relations))
        .route("/v1/graph", get(graph::read))
        .route("/v1/graph/search", get(graph::search))
        .route("/v1/graph/open", post(graph::open))
        .route("/v1/graph/neighbours", get(graph::neighbours))
        .route("/v1/graph/memories", get(graph::memories))
        .route("/v1/adapters/anthropic-memory", post(adapters::memory_tool))
        .route(
            "/store/items",
            put(adapters::store_put).get(adapters::store_get).delete(adapters::store_delete),
        )
        .route("/store/items/search", post(adapters::store_search))
        .route("/store/namespaces", post(adapters::store_namespaces))
        .route("/v1/log/head", get(log::head))
        .route("/v1/log/checkpoint", get(log::checkpoint))
        .route("/v1/log/proof/{seq}", get(log::proof))
        .route("/v1/log/consistency", get(log::consistency))
        .route("/v1/openapi.json", get(openapi::serve))
        .route(authenticate::METADATA, get(authenticate::metadata))
        .route(authenticate::METADATA_OF_MCP, get(authenticate::metadata_of_mcp))
        .fallback(refusals::not_found)
        .method_not_allowed_fallback(refusals::method_not_allowed)
        .layer(middleware::from_fn_with_state(api.clone(), forward::forward))
        .layer(middleware::from_fn_with_state(api.clone(), canary::compare))
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::from_fn_with_state(api.clone(), authenticate::authenticate))
        .layer(middleware::from_fn_with_state(buckets, rate::bound))
        .layer(middleware::from_fn(public::check))
        .layer(middleware::from_fn_with_state(api.clone(), count))
        .layer(middleware::from_fn_with_state(Arc::clone(&api.engine), identify::identify))
        .with_state(api)
}

/// Routes of the questions that the engine asks itself, with the caller that the request brings along.
pub(crate) fn own_reads(engine: Arc<Engine>, control: Arc<AccessControl>) -> Router {
    let api = Api { engine, control, bodies: Arc::new(BodyBudget::new()) };
    Router::new().route("/v1/search", get(memories::search)).with_state(api)
}

/// Routes of the admin port. It answers only to the hosts of `access`, and to addresses.
pub(crate) fn admin_routes(engine: Arc<Engine>, access: Arc<Access>, control: Arc<AccessControl>) -> Router {
    let tokens = Router::new()
        .route("/tokens", get(tokens::list))
        .route("/tokens", post(tokens::create))
        .route("/tokens/revoke", post(tokens::revoke))
        .layer(middleware::from_fn(tokens::keep_nowhere))
        .layer(Extension(Arc::clone(&control)));
    Router::new()
        .merge(tokens)
        .route("/", get(status_page::serve))
        .route("/livez", get(admin::livez))
        .route("/readyz", get(admin::readyz))
        .route("/health", get(admin::health))
        .route("/health/models", get(admin::models))
        .route("/metrics", get(admin::metrics))
        .route("/metrics/json", get(admin::metrics_json))
        .route("/config/env", get(admin::config_env))
        .route("/embedding", get(admin::embedding))
        .route("/policy", get(admin::policy))
        .route("/rebuild", post(admin::rebuild))
        .route("/checkpoint", get(admin::checkpoint))
        .route("/anchor", post(admin::anchor))
        .route("/mode", get(mode::report))
        .route("/mode/wanted", put(mode::want))
        .route("/mode/want", post(mode::want_for_a_person))
        .route("/mode/declared", put(mode::declare))
        .route("/mode/force", post(mode::force))
        .route("/mode/clear", post(mode::clear))
        .route("/mode/invalidate", post(mode::invalidate))
        .route("/mode/reset", post(mode::reset))
        .route("/drill/fault", post(drill::inject))
        .route("/drill/fault/end", post(drill::end))
        .route("/backups", get(backups::status))
        .route("/backups", post(backups::create))
        .route("/upkeep", get(upkeep::report))
        .route("/upkeep", post(upkeep::start))
        .route("/ticket", put(public::deliver))
        .route("/log/lines", get(following::lines))
        .route("/log/digest", get(following::digests))
        .route("/log/root", get(following::root))
        .route("/canary", get(canary::report))
        .route("/canary", put(canary::grant))
        .route("/canary", delete(canary::end))
        .route("/rotate", post(admin::rotate))
        .route("/rotate-key", post(admin::rotate_key))
        .fallback(refusals::not_found)
        .method_not_allowed_fallback(refusals::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&engine), following::owner_only))
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::from_fn_with_state(control, authenticate::check_admin))
        .layer(middleware::from_fn_with_state(access, callers::check))
        .layer(middleware::from_fn(identify::audit))
        .layer(middleware::from_fn_with_state(Arc::clone(&engine), identify::identify))
        .with_state(engine)
}

/// Routes of the port for probes.
pub(crate) fn probe_routes(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/livez", get(admin::livez))
        .route("/readyz", get(admin::readyz))
        .fallback(refusals::not_found)
        .method_not_allowed_fallback(refusals::method_not_allowed)
        .layer(middleware::from_fn(limit_time))
        .layer(middleware::from_fn_with_state(Arc::clone(&engine), identify::identify))
        .with_state(engine)
}

/// Refuses a request that takes longer than [`REQUEST_TIMEOUT`].
async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(ErrorCode::RequestTimeout, "the request took longer than 30 s")
            .hint(
                "send the complete body at once; a write may have been done: repeat it with the same Idempotency-Key",
            )
            .into_response(),
    }
}

/// Counts requests by route. The path is not used, because it may contain ids.
async fn count(State(api): State<Api>, path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = identify::method(request.method());
    let response = next.run(request).await;
    let route = path.as_ref().map_or("none", MatchedPath::as_str);
    let code = response.status();
    api.engine.metrics.http_requests.with_label_values(&[route, code.as_str()]).inc();
    tracing::debug!(method, route, code = code.as_u16(), elapsed = ?started.elapsed(), "answered");
    response
}
