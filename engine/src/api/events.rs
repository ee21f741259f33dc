//! `/v1/events`: appends to the log and replays it.

use axum::Json;
use axum::response::Response;
use engine_core::limits::{EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX};
use engine_core::request::{self, Refused};
use engine_core::wire::{AppendEvents, EventPage};

use super::body::ParsedBody;
use super::memories::created;
use super::parameters::Parameters;
use super::state::Call;
use crate::operations::{EventFilter, SEQ_MAX};
use crate::refusal::Refusal;

pub(super) async fn append(api: Call, body: ParsedBody<AppendEvents>) -> Result<Response, Refusal> {
    Ok(created(api.operations.append(body.request, body.key).await?))
}

pub(super) async fn page(api: Call, parameters: Parameters) -> Result<Json<EventPage>, Refusal> {
    let (after, limit, filter) = checked_page(parameters)?;
    api.operations.events(after, limit, filter).await.map(Json)
}

fn checked_page(parameters: Parameters) -> Result<(u64, usize, EventFilter), Refused> {
    let parameters = parameters.known(&["after", "limit", "project", "session", "type"])?;
    let after = parameters.number("after", 0, SEQ_MAX)?.unwrap_or(0);
    let limit = parameters.number("limit", 1, EVENTS_LIMIT_MAX.into())?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(EVENTS_LIMIT_DEFAULT as usize);
    let filter = |name: &str| {
        parameters.text(name).map(|value| request::filter(name, value).map(|()| value.to_owned())).transpose()
    };
    Ok((
        after,
        limit,
        EventFilter { project: filter("project")?, session: filter("session")?, kind: filter("type")? },
    ))
}
