//! `/mcp`: the Model Context Protocol over streamable HTTP, behind the same bounds as the rest of the API.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine_core::request::Refused;
use engine_core::strict;
use http_body_util::BodyExt;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde_json::json;
use serde_json::value::RawValue;

use super::body::{SMALL_BODY_BYTES, admit};
use super::{Api, aside};
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
        && let Err(fault) = aside(body.len() > SMALL_BODY_BYTES, || strict::check_sent(&body))
    {
        let refused = Refused::Body(fault.to_string());
        return answer(StatusCode::BAD_REQUEST, PARSE_ERROR, &refused.to_string());
    }
    if body.trim_ascii_start().starts_with(b"[") && batches(&head) {
        return batch(&endpoint, &head, &body).await;
    }
    one(&endpoint, Request::from_parts(head, Body::from(body))).await
}

/// Whether a client may send several messages as one list: the earliest revision says it may, no later one does.
fn batches(head: &Parts) -> bool {
    head.headers.get("mcp-protocol-version").is_none_or(|version| version == "2025-03-26")
}

/// Messages of one list: as many as anybody waits for, and no more than a request's time is enough for.
const BATCH_MAX: usize = 100;

/// Answers each message of a list as if it had come alone.
async fn batch(endpoint: &Endpoint, head: &Parts, body: &[u8]) -> Response {
    let messages: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_default();
    if messages.is_empty() || messages.len() > BATCH_MAX {
        let rule = format!("a list must have 1 to {BATCH_MAX} messages");
        return answer(StatusCode::BAD_REQUEST, INVALID_REQUEST, &rule);
    }
    let mut replies = Vec::new();
    for message in messages {
        let mut request = Request::new(Body::from(message.get().to_owned()));
        (*request.method_mut(), *request.uri_mut()) = (head.method.clone(), head.uri.clone());
        *request.headers_mut() = head.headers.clone();
        let response = one(endpoint, request).await;
        // Who may not connect learns that once.
        if response.status() == StatusCode::FORBIDDEN {
            return response;
        }
        let reply = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        // A notification has no answer.
        replies
            .extend(String::from_utf8(reply.into()).ok().and_then(|text| RawValue::from_string(text).ok()));
    }
    if replies.is_empty() {
        StatusCode::ACCEPTED.into_response()
    } else {
        axum::Json(replies).into_response()
    }
}

/// Answers one message.
async fn one(endpoint: &Endpoint, request: Request) -> Response {
    let response = endpoint.handle(request).await;
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
