//! `/mcp`: the Model Context Protocol over streamable HTTP, with the same limits as the rest of the API.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine_core::limits::RPC_BATCH_MAX;
use engine_core::policy::scrubbed;
use engine_core::rpc::{MessageScanner, RecoveredMessage};
use http_body_util::BodyExt;
use hyper::body::Bytes;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::blocking::run_blocking;
use super::body::admit;
use super::body_budget::SMALL_BODY_BYTES;
use super::state::Api;
use crate::mcp::{BYTE_ORDER_MARK, Form, INVALID_REQUEST, Server, Unreadable, check, error, settle};
use crate::refusal::Refusal;

/// The MCP transport. Its clones share one instance.
pub(super) type Endpoint = StreamableHttpService<Server, NeverSessionManager>;

/// Prefix of the error message with which the library refuses JSON that is not a protocol message.
const NO_MESSAGE: &[u8] = b"fail to deserialize";

/// Header with the negotiated protocol revision.
const VERSION_HEADER: &str = "mcp-protocol-version";
/// The header as the library spells it in its messages.
const VERSION_NAME: &str = "MCP-Protocol-Version";

/// Answers an HTTP request to `/mcp`.
pub(super) async fn endpoint(State((api, endpoint)): State<(Api, Endpoint)>, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let form = settle(&mut head.headers);
    // The library parses JSON less strictly than this API, so it receives only bodies that were checked before.
    let (body, _room) = match admit(&api.bodies, &head.headers, body).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refused(refusal),
    };
    let Some(form) = form else {
        let message = "the answer is application/json or text/event-stream; accept one of them";
        return answer(StatusCode::NOT_ACCEPTABLE, INVALID_REQUEST, message);
    };
    let body = Bytes::from(body);
    // JSON may begin with a byte order mark, which has no meaning and is removed.
    let body = if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body };
    if let Some(version) = head.headers.get(VERSION_HEADER)
        && body.len() <= SMALL_BODY_BYTES
        && begins_with_another(version.as_bytes(), &body)
    {
        head.headers.remove(VERSION_HEADER);
    }
    in_form(form, answered(&endpoint, head, body).await).await
}

/// Whether the first message of a client requests another protocol revision than its header names. The message takes
/// precedence: it negotiates the revision, and before the negotiation the header can only be a guess.
fn begins_with_another(version: &[u8], body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Message {
        method: String,
        params: Params,
    }
    #[derive(Deserialize)]
    struct Params {
        #[serde(rename = "protocolVersion")]
        version: String,
    }
    let message = serde_json::from_slice::<Message>(body);
    message.is_ok_and(|it| it.method == "initialize" && it.params.version.as_bytes() != version)
}

/// Converts a response to the form that the client accepts.
async fn in_form(form: Form, response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE);
    if form == Form::Json
        || response.status() != StatusCode::OK
        || kind.is_none_or(|it| it != "application/json")
    {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let json = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head.headers.remove(header::CONTENT_LENGTH);
    // Compact JSON is a single line, as an event stream requires.
    let event = [b"event: message\ndata: ", &json[..], b"\n\n"].concat();
    Response::from_parts(head, Body::from(event))
}

/// Checks a body and answers the message, or the list of messages, in it.
async fn answered(endpoint: &Endpoint, head: Parts, body: Bytes) -> Response {
    // A body may be absent only in requests other than POST; the library answers these.
    if (head.method == Method::POST || !body.is_empty())
        && let Err(unreadable) = run_blocking(body.len() > SMALL_BODY_BYTES, || check(&body))
    {
        return unread(&unreadable, &body);
    }
    if body.trim_ascii_start().starts_with(b"[") && batches(&head) {
        return batch(endpoint, &head, &body).await;
    }
    one(endpoint, head, body).await
}

/// Answers a body that cannot be parsed, with the id of the request in it, or with the ids of all requests in a list.
fn unread(unreadable: &Unreadable, body: &[u8]) -> Response {
    let salvaged = MessageScanner::of(body);
    let replies = unreadable.replies(&salvaged);
    // An empty list is not a list of messages.
    let is_list = body.trim_ascii_start().starts_with(b"[") && !salvaged.is_empty();
    let answer = match replies.as_slice() {
        [] => axum::Json(unreadable.alone()).into_response(),
        [only] if !is_list => axum::Json(only).into_response(),
        several => axum::Json(several).into_response(),
    };
    (StatusCode::BAD_REQUEST, answer).into_response()
}

/// Whether a client may send several messages as one list. Only the two earliest revisions allow it.
fn batches(head: &Parts) -> bool {
    head.headers
        .get(VERSION_HEADER)
        .is_none_or(|version| ["2024-11-05", "2025-03-26"].iter().any(|known| version == known))
}

/// Answers each message of a list as if it had been sent separately.
async fn batch(endpoint: &Endpoint, head: &Parts, body: &[u8]) -> Response {
    let messages: Vec<&RawValue> = serde_json::from_slice(body).unwrap_or_default();
    if !(1..=RPC_BATCH_MAX).contains(&messages.len()) {
        return unread(&Unreadable::wrong_count(), body);
    }
    let mut replies = Vec::new();
    for message in messages {
        let response = one(endpoint, head.clone(), Bytes::copy_from_slice(message.get().as_bytes())).await;
        // A client that is not allowed to connect gets one error, not one for each message.
        if response.status() == StatusCode::FORBIDDEN {
            return response;
        }
        let reply = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        // A notification gets no response.
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
async fn one(endpoint: &Endpoint, head: Parts, sent: Bytes) -> Response {
    let response = endpoint.handle(Request::from_parts(head, Body::from(sent.clone()))).await;
    let (head, body) = response.into_parts();
    let is_json = head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !head.status.is_client_error() || is_json {
        return Response::from_parts(head, Body::new(body));
    }
    let text = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    // The library also uses this status for valid JSON that is not a message of the protocol.
    if head.status == StatusCode::UNSUPPORTED_MEDIA_TYPE && text.starts_with(NO_MESSAGE) {
        return unread(&Unreadable::no_message(), &sent);
    }
    let message = explained(head.status, &String::from_utf8_lossy(&text));
    let asked = MessageScanner::of(&sent).pop().filter(RecoveredMessage::is_request);
    let id = asked.and_then(|asked| RawValue::from_string(asked.id?).ok());
    let mut response = (head.status, axum::Json(error(id, INVALID_REQUEST, &message))).into_response();
    if let Some(allow) = head.headers.get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

/// Returns the error message of the library with a hint on what to do.
fn explained(status: StatusCode, text: &str) -> String {
    let hint = match status {
        StatusCode::FORBIDDEN => {
            "; the engine answers to the names of this machine and of its Service, add others as mcp.allowedHosts"
        }
        StatusCode::METHOD_NOT_ALLOWED => "; send POST: there are no sessions and no stream to listen to",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "; send one JSON-RPC request or notification",
        _ => "",
    };
    // The library quotes the value of this header.
    let known = text.split_inclusive(VERSION_NAME).next().filter(|known| known.ends_with(VERSION_NAME));
    format!("{}{hint}", scrubbed(known.unwrap_or(text)))
}

/// Converts an error of this API to an error of the protocol.
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

/// Returns an error that belongs to no request and therefore has no id.
fn answer(status: StatusCode, code: i32, message: &str) -> Response {
    (status, axum::Json(error(None, code, message))).into_response()
}
