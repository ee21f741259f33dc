//! What engines that follow each other say: lines of the log, for an engine that makes a copy of it, and which requests
//! of administration an engine with a copy refuses.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine_core::digest::Hash;
use engine_core::format::EventLine;
use engine_core::request::Refused;
use engine_core::wire::{
    ErrorCode, HAS_LINE_HEADER, HEAD_SEQ_HEADER, LINES_BYTES, LINES_WAIT_MS_MAX, LOG_ID_HEADER, LogRoot,
    RecentDigests,
};
use engine_log::FollowingLines;
use jiff::Timestamp;
use service::in_span;

use super::parameters::Parameters;
use crate::engine::Engine;
use crate::operations::{SEQ_MAX, not_open};
use crate::refusal::{Refusal, ended, log_corrupt};

/// Responds with the lines that follow a line, as they are stored. If there are none, waits for a limited time.
pub(super) async fn lines(
    State(engine): State<Arc<Engine>>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let parameters = parameters.known(&["after", "line", "wait_ms"])?;
    let after = parameters.number("after", 0, SEQ_MAX)?.unwrap_or(0);
    let line = match parameters.text("line") {
        None => Hash::ZERO,
        Some(text) => Hash::from_hex(text.as_bytes())
            .ok_or_else(|| Refused::Body("the parameter line is not a hash".into()))?,
    };
    let end = (after, line);
    let wait = parameters.number("wait_ms", 0, LINES_WAIT_MS_MAX)?.unwrap_or(0);
    let mut changes = engine.published.changes();
    let deadline = tokio::time::Instant::now() + Duration::from_millis(wait);
    loop {
        changes.mark_unchanged();
        let found = read(&engine, end).await?;
        if !found.lines.is_empty() || !found.has_line {
            return Ok(answer(found));
        }
        let changed = tokio::time::timeout_at(deadline, changes.changed()).await;
        // The sender lives as long as the engine, so an error is a timeout.
        if !matches!(changed, Ok(Ok(()))) || engine.is_stopping() {
            return Ok(answer(read(&engine, end).await?));
        }
    }
}

/// Responds with the newest digests of the projection.
pub(super) async fn digests(State(engine): State<Arc<Engine>>) -> Json<RecentDigests> {
    Json(crate::digests::recent(&engine).await)
}

/// Responds with the root of the log at a number of events, for an engine that has a copy of its own.
pub(super) async fn root(
    State(engine): State<Arc<Engine>>,
    parameters: Parameters,
) -> Result<Json<LogRoot>, Refusal> {
    let parameters = parameters.known(&["size"])?;
    let size = parameters.number("size", 0, SEQ_MAX)?.unwrap_or(0);
    // A log that does not verify says nothing about another one.
    if engine.published.fault().is_some() {
        return Err(log_corrupt());
    }
    let now = Timestamp::now();
    let found = tokio::task::spawn_blocking(in_span(move || root_at(&engine, size, now))).await;
    found.map_err(ended)??.map(Json).ok_or_else(not_open)
}

fn root_at(engine: &Engine, size: u64, now: Timestamp) -> io::Result<Option<LogRoot>> {
    let Some(head) = engine.published.head() else { return Ok(None) };
    let has_root = size <= head.seq;
    let root = has_root.then(|| engine.log_handles.context.tree.root_at(size)).transpose()?;
    let next = if size < head.seq { engine.log.lines_after(size, 1, LINES_BYTES)? } else { Vec::new() };
    let next = EventLine::decode(next.strip_suffix(b"\n").unwrap_or(&next)).ok();
    let age = next.map(|event| now.duration_since(event.envelope.time));
    Ok(Some(LogRoot {
        log_id: head.log_id,
        head_seq: head.seq,
        root: root.map(|root| root.to_string()),
        // A clock that was set back gives no negative age.
        next_age_ms: age.map(|age| u64::try_from(age.as_millis()).unwrap_or(0)),
    }))
}

async fn read(engine: &Arc<Engine>, (seq, line): (u64, Hash)) -> Result<FollowingLines, Refusal> {
    // A log that does not verify may be shorter than it was. Who has a copy must not take that for a rollback.
    if engine.published.fault().is_some() {
        return Err(log_corrupt());
    }
    let log = engine.log.clone();
    let read = move || log.lines_following(seq, line, LINES_BYTES);
    let found = tokio::task::spawn_blocking(in_span(read)).await.map_err(ended)??;
    found.ok_or_else(not_open)
}

fn answer(found: FollowingLines) -> Response {
    let FollowingLines { log_id, head_seq, has_line, lines } = found;
    let mut response = lines.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(HEAD_SEQ_HEADER, head_seq.into());
    headers.insert(HAS_LINE_HEADER, HeaderValue::from_static(if has_line { "true" } else { "false" }));
    if let Ok(log_id) = HeaderValue::from_str(&log_id) {
        headers.insert(LOG_ID_HEADER, log_id);
    }
    response
}

/// Requests of administration that belong to the owner of a log: they write to it, sign for it, or make credentials
/// that only one engine would know.
const OWNER_ONLY: [(Method, &str); 10] = [
    (Method::GET, "/checkpoint"),
    (Method::GET, "/log/lines"),
    (Method::GET, "/log/root"),
    (Method::POST, "/anchor"),
    (Method::POST, "/backups"),
    (Method::POST, "/upkeep"),
    (Method::POST, "/rotate"),
    (Method::POST, "/rotate-key"),
    (Method::POST, "/tokens"),
    (Method::POST, "/tokens/revoke"),
];

/// Refuses requests of administration that only the owner of the log may carry out.
pub(super) async fn owner_only(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let is_owners = OWNER_ONLY.iter().any(|(method, owned)| request.method() == method && path == *owned);
    if is_owners && engine.following().is_some() {
        return Refusal::new(
            ErrorCode::WritesOff,
            "this engine follows another one and does not own its log",
        )
        .hint("nothing was done; send it to the engine that this one follows; docs/guide/readers.md")
        .into_response();
    }
    next.run(request).await
}
