//! Reads events from the log.

use std::borrow::Cow;

use engine_core::format::{EventLine, LineFault};
use engine_core::limits::{EVENTS_LIMIT_MAX, EVENTS_PAGE_BYTES_MAX, EVENTS_SCAN_MAX};
use engine_core::wire::{EventPage, EventView};
use serde_json::value::RawValue;

use super::handle::Operations;
use super::log::{durable_head, unreadable};
use crate::refusal::{Refusal, ended, log_corrupt};
use engine_core::identity::{HasIdentifiers, NamesProjects, Visit};
use engine_core::policy::Form;
use engine_log::LogReader;
use service::in_span;

/// Filter of a page of events.
#[derive(Debug, Default)]
pub(crate) struct EventFilter {
    pub(crate) project: Option<String>,
    pub(crate) session: Option<String>,
    /// Type of event.
    pub(crate) kind: Option<String>,
}

impl EventFilter {
    fn is_empty(&self) -> bool {
        self.project.is_none() && self.session.is_none() && self.kind.is_none()
    }

    fn admits(&self, event: &EventView) -> bool {
        self.project.as_ref().is_none_or(|project| *project == event.project)
            && self.kind.as_ref().is_none_or(|kind| *kind == event.kind)
            && self.session.as_ref().is_none_or(|session| event.session.as_ref() == Some(session))
    }
}

impl NamesProjects for EventFilter {
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
        visit(&mut self.project);
    }
}

impl HasIdentifiers for EventFilter {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let EventFilter { project, session, kind } = self;
        [project, session, kind].into_iter().flatten().for_each(|name| visit(name, Form::Whole));
    }
}

impl Operations {
    /// Returns the events after `after` in log order, at most `limit`.
    pub(crate) async fn events(
        &self,
        after: u64,
        limit: usize,
        mut filter: EventFilter,
    ) -> Result<EventPage, Refusal> {
        let permit = self.admit_read()?;
        let caller_names = self.stored(&permit, &mut filter).await?;
        let head = durable_head(&self.engine)?;
        let log = self.engine.log.clone();
        let read = move || match filter.is_empty() {
            true => log.lines_after(after, limit, EVENTS_PAGE_BYTES_MAX).map(|lines| (views(&lines), None)),
            false => filtered(&log, after, limit, &filter),
        };
        let (events, next_after) = tokio::task::spawn_blocking(in_span(read)).await.map_err(ended)??;
        let events = events.map_err(|fault| {
            tracing::error!(%fault, "a durable event does not verify");
            log_corrupt()
        })?;
        if events.is_empty() && next_after.is_none_or(|next| next == after) && after < head.seq {
            return Err(unreadable(&self.engine, after + 1).unwrap_or_else(log_corrupt));
        }
        Ok(caller_names.restore(EventPage { events, head_seq: head.seq, next_after }))
    }

    /// Returns the events from `first` to `last`, both included, in order.
    pub(super) async fn events_between(&self, first: u64, last: u64) -> Result<Vec<EventView>, Refusal> {
        let log = self.engine.log.clone();
        let count = usize::try_from(last + 1 - first).unwrap_or(usize::MAX);
        let read = move || log.lines_after(first.saturating_sub(1), count, usize::MAX);
        let lines = tokio::task::spawn_blocking(in_span(read)).await.map_err(ended)??;
        views(&lines).map_err(|fault| {
            tracing::error!(%fault, "a durable event does not verify");
            log_corrupt()
        })
    }
}

type Views = Result<Vec<EventView>, LineFault>;

fn views(lines: &[u8]) -> Views {
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(view).collect()
}

/// Scans a limited number of events. Returns the matching events and the sequence number of the last event scanned.
fn filtered(
    log: &LogReader,
    mut after: u64,
    limit: usize,
    filter: &EventFilter,
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

/// Converts a line of the log to the form that clients receive.
pub(super) fn view(line: &[u8]) -> Result<EventView, LineFault> {
    let line = EventLine::decode(line)?;
    // The decoder has checked that the bytes are JSON. A forgotten payload becomes null.
    let payload = line.payload().and_then(|payload| RawValue::from_string(payload.to_owned()).ok());
    let EventLine { envelope, hash, .. } = line;
    Ok(EventView {
        seq: envelope.seq,
        id: envelope.id.into_owned(),
        time: envelope.time,
        kind: envelope.kind.into_owned(),
        actor: envelope.actor.into_owned(),
        project: envelope.project.into_owned(),
        session: envelope.session.map(Cow::into_owned),
        causes: envelope.causes.into_iter().map(Cow::into_owned).collect(),
        hash: hash.to_string(),
        payload: payload.unwrap_or_else(|| RawValue::NULL.to_owned()),
    })
}
