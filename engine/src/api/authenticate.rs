//! Recognises who sends a request, before anything else is done for it, and tells clients how to authorise.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine_core::access::Scope;
use engine_core::configuration::Mcp;
use engine_core::wire::{CANARY_COMPARES, CANARY_HEADER};
use serde_json::{Value, json};

use super::body::discard_small;
use super::public::PortGate;
use super::server::PeerCertificate;
use super::state::{Api, COMPARED};
use crate::access::{AccessControl, Credentials, Session};

/// Path of the description of a protected resource, RFC 9728. The path of the resource may follow.
pub(super) const METADATA: &str = "/.well-known/oauth-protected-resource";
/// The same for the resource `/mcp`.
pub(super) const METADATA_OF_MCP: &str = "/.well-known/oauth-protected-resource/mcp";
/// Header with which a proxy that ends TLS says so.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Paths of the admin port that demand no token: probes and scrapes come from the platform.
const OPEN_ADMIN_PATHS: [&str; 4] = ["/livez", "/readyz", "/metrics", "/metrics/json"];

/// Recognises the caller of a request to the API.
pub(super) async fn authenticate(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == METADATA || path == METADATA_OF_MCP {
        return next.run(request).await;
    }
    let is_mcp = path.trim_end_matches('/') == "/mcp";
    let metadata = metadata_url(&api, request.headers(), is_mcp);
    // Copies, because a request cannot be shared while a key of an issuer is waited for.
    let values = request.headers().get_all(header::AUTHORIZATION).iter().take(2).cloned();
    let values: Vec<HeaderValue> = values.collect();
    let PeerCertificate(certificate) = request.extensions().get().cloned().unwrap_or_default();
    let credentials = Credentials::of(values.iter().map(HeaderValue::as_bytes), certificate);
    let compares = comparing_engine(&api, &request);
    let recognised = match compares {
        Some(session) => Ok(session),
        None => api.control.recognise(&credentials).await,
    };
    let session = match recognised {
        Ok(session) => session,
        Err(refusal) => {
            let error = if matches!(credentials, Credentials::None) { "" } else { "error=\"invalid_token\"" };
            let (head, body) = request.into_parts();
            discard_small(&head.headers, body).await;
            let mut response = refusal.into_response();
            challenge(&mut response, &[error.to_owned(), metadata]);
            return response;
        }
    };
    request.extensions_mut().insert(session.clone());
    let mut response = next.run(request).await;
    if let Some(scope) = session.missing_scope()
        && (is_mcp || response.status() == StatusCode::FORBIDDEN)
    {
        // A tool reports a denial in its result. Clients of the protocol look at the status.
        *response.status_mut() = StatusCode::FORBIDDEN;
        let prefix = api.control.scope_prefix().unwrap_or_default();
        let scope = format!("scope=\"{prefix}{}\"", scope.word());
        challenge(&mut response, &["error=\"insufficient_scope\"".to_owned(), scope, metadata]);
    }
    response
}

/// Another engine that compares answers, if the request is a comparison with the token of readers. Not through the
/// public port: no engine asks through it.
fn comparing_engine(api: &Api, request: &Request) -> Option<Session> {
    let PortGate(gate) = request.extensions().get().cloned().unwrap_or_default();
    let is_marked = request.headers().get(CANARY_HEADER).is_some_and(|mark| mark == CANARY_COMPARES);
    // The token opens what the comparing engine asks, and no other request.
    let is_comparison = is_marked && request.method() == Method::GET && request.uri().path() == COMPARED;
    let authorization = request.headers().get(header::AUTHORIZATION)?;
    if is_comparison && gate.is_none() { api.control.recognise_comparison(authorization) } else { None }
}

/// Adds what a client needs in order to authorise. Only to answers that say so by their status.
fn challenge(response: &mut Response, parts: &[String]) {
    if !matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return;
    }
    let realm = "realm=\"memory-engine\"".to_owned();
    let parts = [realm].into_iter().chain(parts.iter().filter(|part| !part.is_empty()).cloned());
    let text = format!("Bearer {}", parts.collect::<Vec<_>>().join(", "));
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
}

/// The URL at which the client reached the engine; none if its `Host` is not one.
fn base_url(api: &Api, headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok().filter(|host| Mcp::is_host(host))?;
    let is_forwarded = headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
    let scheme = if api.engine.has_api_tls() || is_forwarded { "https" } else { "http" };
    Some(format!("{scheme}://{host}"))
}

fn metadata_url(api: &Api, headers: &HeaderMap, is_mcp: bool) -> String {
    let path = if is_mcp { METADATA_OF_MCP } else { METADATA };
    base_url(api, headers).map(|base| format!("resource_metadata=\"{base}{path}\"")).unwrap_or_default()
}

/// Answers [`METADATA`].
pub(super) async fn metadata(State(api): State<Api>, headers: HeaderMap) -> Json<Value> {
    described(&api, &headers, "")
}

/// Answers [`METADATA_OF_MCP`].
pub(super) async fn metadata_of_mcp(State(api): State<Api>, headers: HeaderMap) -> Json<Value> {
    described(&api, &headers, "/mcp")
}

/// Describes a resource, RFC 9728. Without issuers there are no authorisation servers: keys come from the operator of
/// the engine.
fn described(api: &Api, headers: &HeaderMap, path: &str) -> Json<Value> {
    let resource = base_url(api, headers).unwrap_or_default();
    let prefix = api.control.scope_prefix().unwrap_or_default();
    let scopes = Scope::WORDS.iter().map(|word| format!("{prefix}{word}"));
    let mut described = json!({
        "resource": format!("{resource}{path}"),
        "resource_name": "memory-engine",
        "bearer_methods_supported": ["header"],
        "scopes_supported": scopes.collect::<Vec<_>>(),
    });
    let issuers = api.control.issuers().names();
    if !issuers.is_empty() {
        described["authorization_servers"] = json!(issuers);
    }
    Json(described)
}

/// Checks the token of a request to the admin port, if the port demands one.
pub(super) async fn check_admin(
    State(control): State<Arc<AccessControl>>,
    request: Request,
    next: Next,
) -> Response {
    if OPEN_ADMIN_PATHS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let token = values.next().filter(|_| values.next().is_none());
    let token = token.and_then(|value| value.to_str().ok()).and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
    });
    match control.check_admin(request.uri().path(), token) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let mut response = refusal.into_response();
            challenge(&mut response, &[]);
            response
        }
    }
}
