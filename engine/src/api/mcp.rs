//! `/mcp`: the Model Context Protocol over streamable HTTP, behind the same bounds as the rest of the API.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine_core::request::Refused;
use engine_core::strict;
use http_body_util::BodyExt;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde_json::json;

use super::Api;
use super::body::admit;
use crate::mcp::Server;
use crate::refusal::Refusal;

/// The transport; clones share it.
pub(super) type Endpoint = StreamableHttpService<Server, NeverSessionManager>;

/// JSON-RPC: what came is not JSON.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC: what came is no request.
const INVALID_REQUEST: i32 = -32600;

pub(super) async fn endpoint(State((api, endpoint)): State<(Api, Endpoint)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // The library reads JSON less strictly than this API does, so it gets what was checked.
    let (body, _room) = match admit(&api.bodies, &head.headers, body).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refused(refusal),
    };
    if !body.is_empty()
        && let Err(fault) = strict::check(&body)
    {
        let refused = Refused::Body(fault.to_string());
        return answer(StatusCode::BAD_REQUEST, PARSE_ERROR, &refused.to_string());
    }
    let response = endpoint.handle(Request::from_parts(head, Body::from(body))).await;
    let (head, body) = response.into_parts();
    let is_json = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !head.status.is_client_error() || is_json {
        return Response::from_parts(head, Body::new(body));
    }
    let text = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut response =
        answer(head.status, INVALID_REQUEST, &explained(head.status, &String::from_utf8_lossy(&text)));
    if let Some(allow) = head.headers.get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

/// What the library says, and what to do.
fn explained(status: StatusCode, text: &str) -> String {
    let hint = match status {
        StatusCode::FORBIDDEN => {
            "; the engine answers to the names of this machine and of its Service, add others as mcp.allowedHosts"
        }
        StatusCode::METHOD_NOT_ALLOWED => "; send POST: there are no sessions and no stream to listen to",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "; send one JSON-RPC request or notification",
        _ => "",
    };
    format!("{text}{hint}")
}

/// A refusal of this API, as the protocol has errors.
fn refused(refusal: Refusal) -> Response {
    let retry_after = refusal.retry_after_s();
    let body = refusal.into_body();
    let status = StatusCode::from_u16(body.error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, INVALID_REQUEST, &body.error.message);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// An error that belongs to no request: it has no id.
fn answer(status: StatusCode, code: i32, message: &str) -> Response {
    let body = json!({ "jsonrpc": "2.0", "error": { "code": code, "message": message } });
    (status, axum::Json(body)).into_response()
}
