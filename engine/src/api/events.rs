//! `/v1/events` and `/v1/log/head`: the log itself.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use engine_core::format::LineFault;
use engine_core::limits::{EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX, EVENTS_PAGE_BYTES_MAX};
use engine_core::request::{self, Refused};
use engine_core::wire::{AppendEvents, Appended, EventPage, LogHead};

use super::Api;
use super::body::Checked;
use super::log::not_open;
use super::memories::created;
use super::parameters::Parameters;
use crate::engine::Engine;
use crate::log::Head;
use crate::operations::{Written, view};
use crate::refusal::{Refusal, internal, log_corrupt};

pub(super) async fn append(State(api): State<Api>, body: Checked<AppendEvents>) -> Result<Response, Refusal> {
    let drafts = request::events(body.request)?;
    let receipt = api.engine.commit(drafts, body.key).await?;
    let appended =
        Appended { first_seq: receipt.first_seq, last_seq: receipt.last_seq, hash: receipt.hash.to_string() };
    Ok(created(Written::new(&receipt, appended)))
}

pub(super) async fn page(State(api): State<Api>, parameters: Parameters) -> Result<Json<EventPage>, Refusal> {
    let (after, limit) = checked_page(parameters)?;
    let head = durable_head(&api)?;
    let log = api.engine.log.clone();
    let read = tokio::task::spawn_blocking(move || log.lines_after(after, limit, EVENTS_PAGE_BYTES_MAX));
    let lines = read.await.map_err(|fault| internal(&fault))??;
    if lines.is_empty() && after < head.seq {
        return Err(unreadable(&api.engine, after + 1).unwrap_or_else(log_corrupt));
    }
    let events = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(view);
    let events = events.collect::<Result<_, LineFault>>().map_err(|fault| {
        tracing::error!(%fault, "a durable event does not verify");
        log_corrupt()
    })?;
    Ok(Json(EventPage { events, head_seq: head.seq }))
}

fn checked_page(parameters: Parameters) -> Result<(u64, usize), Refused> {
    let parameters = parameters.known(&["after", "limit"])?;
    let after = parameters.number("after", 0, i64::MAX.unsigned_abs())?.unwrap_or(0);
    let limit = parameters.number("limit", 1, EVENTS_LIMIT_MAX.into())?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_LIMIT_DEFAULT as usize);
    Ok((after, limit))
}

pub(super) async fn head(State(api): State<Api>) -> Result<Json<LogHead>, Refusal> {
    let Head { log_id, seq, hash, .. } = durable_head(&api)?;
    Ok(Json(LogHead { log_id, seq, hash: hash.to_string() }))
}

fn durable_head(api: &Api) -> Result<Head, Refusal> {
    let published = &api.engine.published;
    published.head().ok_or_else(|| if published.fault().is_some() { log_corrupt() } else { not_open() })
}

/// Why an event is not shown: it stands at or behind the place where the log does not verify.
pub(super) fn unreadable(engine: &Engine, seq: u64) -> Option<Refusal> {
    (seq > engine.published.readable_through()).then(log_corrupt)
}
