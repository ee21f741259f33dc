//! `/v1/events` and `/v1/log/head`: the log itself.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use engine_core::format::LineFault;
use engine_core::limits::{EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX, EVENTS_PAGE_BYTES_MAX, EVENTS_SCAN_MAX};
use engine_core::request::{self, Refused};
use engine_core::wire::{AppendEvents, Appended, EventPage, EventView, LogHead};

use super::Api;
use super::body::Checked;
use super::log::not_open;
use super::memories::created;
use super::parameters::Parameters;
use crate::engine::Engine;
use crate::log::{Head, LogReader};
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
    let (after, limit, filter) = checked_page(parameters)?;
    let head = durable_head(&api)?;
    let log = api.engine.log.clone();
    let read = tokio::task::spawn_blocking(move || match filter.is_empty() {
        true => log.lines_after(after, limit, EVENTS_PAGE_BYTES_MAX).map(|lines| (views(&lines), None)),
        false => filtered(&log, after, limit, &filter),
    });
    let (events, next_after) = read.await.map_err(|fault| internal(&fault))??;
    let events = events.map_err(|fault| {
        tracing::error!(%fault, "a durable event does not verify");
        log_corrupt()
    })?;
    if events.is_empty() && next_after.is_none_or(|next| next == after) && after < head.seq {
        return Err(unreadable(&api.engine, after + 1).unwrap_or_else(log_corrupt));
    }
    Ok(Json(EventPage { events, head_seq: head.seq, next_after }))
}

/// What a page is narrowed to.
#[derive(Debug, Default)]
struct Filter {
    project: Option<String>,
    session: Option<String>,
    kind: Option<String>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.project.is_none() && self.session.is_none() && self.kind.is_none()
    }

    fn admits(&self, event: &EventView) -> bool {
        self.project.as_ref().is_none_or(|project| *project == event.project)
            && self.kind.as_ref().is_none_or(|kind| *kind == event.kind)
            && self.session.as_ref().is_none_or(|session| event.session.as_ref() == Some(session))
    }
}

fn checked_page(parameters: Parameters) -> Result<(u64, usize, Filter), Refused> {
    let parameters = parameters.known(&["after", "limit", "project", "session", "type"])?;
    let after = parameters.number("after", 0, i64::MAX.unsigned_abs())?.unwrap_or(0);
    let limit = parameters.number("limit", 1, EVENTS_LIMIT_MAX.into())?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_LIMIT_DEFAULT as usize);
    let filter = |name: &str| {
        parameters.text(name).map(|value| request::filter(name, value).map(|()| value.to_owned())).transpose()
    };
    Ok((
        after,
        limit,
        Filter { project: filter("project")?, session: filter("session")?, kind: filter("type")? },
    ))
}

type Views = Result<Vec<EventView>, LineFault>;

fn views(lines: &[u8]) -> Views {
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(view).collect()
}

/// Looks at a bounded number of events; the ones that fit, and the last one that was looked at.
fn filtered(
    log: &LogReader,
    mut after: u64,
    limit: usize,
    filter: &Filter,
) -> std::io::Result<(Views, Option<u64>)> {
    let (mut found, mut looked_at, mut bytes) = (Vec::new(), 0, 0);
    while looked_at < EVENTS_SCAN_MAX && bytes < EVENTS_PAGE_BYTES_MAX {
        let lines = log.lines_after(after, EVENTS_LIMIT_MAX as usize, EVENTS_PAGE_BYTES_MAX)?;
        let events = match views(&lines) {
            Ok(events) if events.is_empty() => break,
            Ok(events) => events,
            Err(fault) => return Ok((Err(fault), Some(after))),
        };
        for event in events {
            (after, looked_at) = (event.seq, looked_at + 1);
            if filter.admits(&event) {
                bytes += event.payload.get().len();
                found.push(event);
            }
            if found.len() == limit || bytes >= EVENTS_PAGE_BYTES_MAX {
                return Ok((Ok(found), Some(after)));
            }
        }
    }
    Ok((Ok(found), Some(after)))
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
