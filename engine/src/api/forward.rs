//! On an engine that follows another one: reads are answered here, and everything that writes is forwarded to the
//! engine that owns the log. The table of operations decides, so that a new operation that is not a read is never
//! carried out here.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine_core::access::{CallerKind, OPERATIONS, OperationRow, Scope};
use engine_core::trace_context::TRACEPARENT_HEADER;
use engine_core::wire::{ErrorCode, FORWARDED_HEADER, HEAD_SEQ_HEADER};
use http_body_util::BodyExt;
use hyper::body::Bytes;
use serde_json::Value;
use service::RequestIds;
use tokio::sync::OwnedSemaphorePermit;

use super::authenticate::{METADATA, METADATA_OF_MCP};
use super::body::admit;
use super::identify::REQUEST_ID;
use super::state::Api;
use crate::access::Session;
use crate::following::{Following, Forwarded, NotForwarded};
use crate::refusal::Refusal;

/// Headers that belong to one connection, RFC 9110, and those that a client makes for itself.
const OF_ONE_CONNECTION: [HeaderName; 10] = [
    header::CONNECTION,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
];
/// Longest time that the answer to a forwarded write is held back until reads here see what was written.
const APPLIED_WAIT_MAX: Duration = Duration::from_millis(500);
/// Reads that only the owner of the log can answer, because they are signed with its key.
const SIGNED: [&str; 2] = ["/v1/log/checkpoint", "/v1/log/proof/{seq}"];
const SIGNED_TOOL: &str = "memory_proof";

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// This engine, whatever the state of its copy.
    Here,
    /// This engine, if its copy may be read.
    Copy,
    /// The engine that is followed.
    Writer,
    /// The tools that the body calls decide.
    Tools,
}

/// Answers a request or forwards it.
pub(super) async fn forward(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Some(following) = api.engine.following().cloned() else { return as_owner(&api, request, next).await };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    match who_answers(request.method(), route) {
        Answers::Here => next.run(request).await,
        answers => {
            let forwarding = Forwarding { api: &api, following: &following };
            let answered = forwarding.answer(request, answers, next).await;
            answered.unwrap_or_else(Refusal::into_response)
        }
    }
}

/// Answers a request on an engine that owns its log. If another engine has forwarded it, the answer says how much of
/// the log contains what was written.
async fn as_owner(api: &Api, request: Request, next: Next) -> Response {
    let is_forwarded = request.headers().contains_key(FORWARDED_HEADER);
    let mut response = next.run(request).await;
    if is_forwarded && response.status().is_success() {
        response.headers_mut().insert(HEAD_SEQ_HEADER, api.engine.published.head_seq().into());
    }
    response
}

/// Decides who answers a request that matched a route.
fn who_answers(method: &Method, route: &str) -> Answers {
    if route.starts_with("/mcp") {
        return if method == Method::POST { Answers::Tools } else { Answers::Here };
    }
    if route.is_empty() || route == METADATA || route == METADATA_OF_MCP || method == Method::OPTIONS {
        return Answers::Here;
    }
    // A HEAD request is a GET without a body.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let is_it = |(name, path): &(&str, &str)| *name == method.as_str() && *path == route;
    match OPERATIONS.iter().find(|row| row.routes.iter().any(is_it)) {
        Some(OperationRow { scope: None, .. }) => Answers::Here,
        Some(OperationRow { scope: Some(Scope::Read), .. }) if !SIGNED.contains(&route) => Answers::Copy,
        Some(_) => Answers::Writer,
        // The path has no such method, which this engine says itself.
        None => Answers::Here,
    }
}

/// Decides who answers a message of the Model Context Protocol, or a list of them. A list that calls one tool that
/// writes is forwarded as a whole.
fn who_answers_message(body: &[u8]) -> Answers {
    let Ok(message) = serde_json::from_slice::<Value>(body) else { return Answers::Here };
    let messages = message.as_array().map_or(std::slice::from_ref(&message), Vec::as_slice);
    let calls = messages.iter().filter(|message| message["method"] == "tools/call");
    let answers = calls.map(|call| {
        let name = call["params"]["name"].as_str().unwrap_or_default();
        match OPERATIONS.iter().find(|row| row.tools.contains(&name)) {
            Some(OperationRow { scope: None, .. }) => Answers::Here,
            Some(OperationRow { scope: Some(Scope::Read), .. }) if name != SIGNED_TOOL => Answers::Copy,
            _ => Answers::Writer,
        }
    });
    answers.fold(Answers::Here, |all, one| match (all, one) {
        (Answers::Writer, _) | (_, Answers::Writer) => Answers::Writer,
        (Answers::Copy, _) | (_, Answers::Copy) => Answers::Copy,
        _ => Answers::Here,
    })
}

/// A request whose body was received.
struct Received {
    head: Parts,
    body: Bytes,
    /// Whether the request came with a body, if only an empty one.
    has_body: bool,
    _room: Option<OwnedSemaphorePermit>,
}

impl Received {
    /// Receives the body within the limits of every body.
    async fn of(api: &Api, request: Request) -> Result<Received, Refusal> {
        let (head, body) = request.into_parts();
        let has_body = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
            .iter()
            .any(|name| head.headers.contains_key(name));
        let (body, room) = match has_body {
            true => admit(&api.bodies, &head.headers, body).await?,
            false => (Vec::new(), None),
        };
        Ok(Received { head, body: body.into(), has_body, _room: room })
    }

    /// The request, to be answered here.
    fn request(&self) -> Request {
        let mut head = self.head.clone();
        if self.has_body {
            head.headers.remove(header::TRANSFER_ENCODING);
            head.headers.insert(header::CONTENT_LENGTH, self.body.len().into());
        }
        Request::from_parts(head, Body::from(self.body.clone()))
    }

    /// Whether its caller is recognised by a certificate, which cannot be passed on.
    fn is_certificates(&self) -> bool {
        let session = self.head.extensions.get::<Session>();
        session.is_some_and(|session| session.caller().kind == CallerKind::Certificate)
    }
}

/// What answers the requests of a following engine.
struct Forwarding<'a> {
    api: &'a Api,
    following: &'a Following,
}

impl Forwarding<'_> {
    async fn answer(&self, request: Request, answers: Answers, next: Next) -> Result<Response, Refusal> {
        let received = Received::of(self.api, request).await?;
        let answers = match answers {
            Answers::Tools => who_answers_message(&received.body),
            answers => answers,
        };
        if answers == Answers::Writer {
            return self.write(&received).await;
        }
        if answers == Answers::Copy {
            self.following.admit_read()?;
        }
        let response = next.run(received.request()).await;
        // The tokens that stand for personal data in names are made with a key that only the owner of the log has.
        let needs_key = response.extensions().get::<ErrorCode>() == Some(&ErrorCode::PseudonymKeyLost);
        if needs_key && answers == Answers::Copy && !received.is_certificates() {
            return self.send(&received).await;
        }
        Ok(response)
    }

    /// Forwards a request that may write. Then waits for a limited time until reads here see what it wrote.
    async fn write(&self, received: &Received) -> Result<Response, Refusal> {
        // Whoever reads here must not continue a history that this engine has found to be another one.
        self.following.admit_read()?;
        let is_read = received.head.method.is_safe();
        if !is_read {
            self.api.engine.modes.admit_write()?;
        }
        if received.is_certificates() {
            let rule = "a request of a caller that is recognised by its certificate cannot be forwarded";
            return Err(Refusal::new(ErrorCode::Forbidden, rule)
                .hint("nothing was done; send it to the engine that this one follows, or use a key"));
        }
        let mut response = self.send(received).await?;
        let head_seq = response.headers_mut().remove(HEAD_SEQ_HEADER);
        let head_seq = head_seq.and_then(|seq| seq.to_str().ok()?.parse::<u64>().ok());
        let projection = &self.api.engine.projection;
        // A copy that is far behind would only delay the answer.
        if let Some(seq) =
            head_seq.filter(|_| !is_read && self.following.unready(projection.applied_seq()).is_none())
        {
            // Who needs the event for certain names it in `min_seq`.
            let _in_time = tokio::time::timeout(APPLIED_WAIT_MAX, projection.wait_for(seq)).await;
        }
        Ok(response)
    }

    /// Sends a request to the engine that is followed.
    async fn send(&self, received: &Received) -> Result<Response, Refusal> {
        let Received { head, body, .. } = received;
        if head.headers.contains_key(FORWARDED_HEADER) {
            return Err(Refusal::new(
                ErrorCode::WriterUnreachable,
                "a request was forwarded to an engine that follows another one",
            )
            .hint("nothing was done; --forward has to name the engine that owns the log"));
        }
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let headers = forwarded_headers(&head.headers);
        let sent = self.following.writer().forward((head.method.clone(), path), headers, body.clone()).await;
        let sent = sent.and_then(|response| match is_of_an_owner(&response) {
            true => Ok(response),
            false => Err(NotForwarded::Unanswered(
                "the answer is not that of an engine that owns a log".to_owned(),
            )),
        });
        let outcome = match &sent {
            Ok(response) if response.status().is_success() => "answered",
            Ok(_) => "refused",
            Err(_) => "unreachable",
        };
        self.api.engine.metrics.following.forwarded.with_label_values(&[outcome]).inc();
        let mut response = sent.map_err(not_forwarded)?.map(|body| Body::new(body.map_err(axum::Error::new)));
        remove_those_of_one_connection(response.headers_mut());
        Ok(response)
    }
}

/// Whether an engine that owns a log has answered: it names the end of its log with each success, and redirects nobody.
fn is_of_an_owner(response: &Forwarded) -> bool {
    let status = response.status();
    let is_failure = status.is_client_error() || status.is_server_error();
    is_failure || status.is_success() && response.headers().contains_key(HEAD_SEQ_HEADER)
}

/// Removes the headers that belong to one connection: those that always do, and those that `Connection` names.
pub(super) fn remove_those_of_one_connection(headers: &mut HeaderMap) {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in OF_ONE_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

/// The headers of a request that is forwarded to the engine that is followed.
fn forwarded_headers(received: &HeaderMap) -> HeaderMap {
    let mut headers = passed_on(received);
    headers.insert(FORWARDED_HEADER, HeaderValue::from_static("1"));
    headers
}

/// The headers of a request without those of its connection, and with the identifiers under which it is logged here.
pub(super) fn passed_on(received: &HeaderMap) -> HeaderMap {
    let mut headers = received.clone();
    remove_those_of_one_connection(&mut headers);
    headers.remove(header::HOST);
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    if let Some(ids) = RequestIds::current() {
        set(REQUEST_ID, ids.request());
    }
    if let Some(parent) = RequestIds::outgoing() {
        set(HeaderName::from_static(TRACEPARENT_HEADER), &parent.to_string());
    }
    headers
}

fn not_forwarded(why: NotForwarded) -> Refusal {
    match why {
        NotForwarded::NoAddress => Refusal::new(
            ErrorCode::WritesOff,
            "this engine follows another one, and was started without the address for writes",
        )
        .hint("nothing was written; send it to the engine that this one follows; docs/guide/readers.md"),
        NotForwarded::Unreachable(fault) => {
            let rule = format!("the engine that this one follows cannot be reached: {fault}");
            Refusal::new(ErrorCode::WriterUnreachable, rule)
                .hint("nothing was written; repeat it after Retry-After seconds")
        }
        NotForwarded::Unanswered(fault) => {
            let rule = format!("the engine that this one follows did not answer: {fault}");
            Refusal::new(ErrorCode::WriterUnreachable, rule).hint(
                "it may have been written; repeat it with the same Idempotency-Key after Retry-After seconds",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_connection_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-One"),
            ("x-one", "1"),
            ("te", "trailers"),
            ("host", "a"),
            ("x-two", "2"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let passed = forwarded_headers(&headers);
        let names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-two", FORWARDED_HEADER]);
    }

    #[test]
    fn only_reads_are_answered_from_a_copy() {
        for row in OPERATIONS {
            for (method, route) in row.routes {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let expected = match row.scope {
                    None => Answers::Here,
                    Some(Scope::Read) if !SIGNED.contains(route) => Answers::Copy,
                    Some(_) => Answers::Writer,
                };
                assert_eq!(who_answers(&method, route), expected, "{method} {route}");
            }
        }
        assert_eq!(who_answers(&Method::POST, "/mcp"), Answers::Tools);
        assert_eq!(who_answers(&Method::PATCH, "/v1/memories"), Answers::Here, "405");
    }

    #[test]
    fn a_message_is_forwarded_if_it_calls_a_tool_that_is_not_known_to_read() {
        let call = |name: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#)
        };
        let of = |text: &str| who_answers_message(text.as_bytes());
        assert_eq!(of(&call("memory_search")), Answers::Copy);
        assert_eq!(of(&call("memory_status")), Answers::Here);
        assert_eq!(of(&call("memory_proof")), Answers::Writer, "it is signed");
        assert_eq!(of(&call("memory_save")), Answers::Writer);
        assert_eq!(of(&call("of_a_later_version")), Answers::Writer);
        assert_eq!(of(&format!("[{},{}]", call("memory_search"), call("memory_save"))), Answers::Writer);
        assert_eq!(of(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#), Answers::Here);
        assert_eq!(of("not JSON"), Answers::Here);
    }
}
