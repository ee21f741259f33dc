//! `/v1/memories/batch`, `/v1/memories/entries`, `/v1/memories/{id}/history`, `/v1/timeline`, `/v1/documents` and
//! `/v1/feedback`.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use engine_core::digest::is_id;
use engine_core::limits::{TIMELINE_DEFAULT, TIMELINE_MAX};
use engine_core::request::{self, Refused, number};
use engine_core::wire::{
    EntriesAnswer, GetEntries, GiveFeedback, HistoryAnswer, IngestAnswer, IngestDocuments, SaveMemories,
    TimelineAnswer,
};

use super::body::ParsedBody;
use super::memories::{created, id, moment};
use super::parameters::Parameters;
use super::state::Call;
use crate::operations::{Operations, SEQ_MAX};
use crate::refusal::Refusal;
use engine_projection::{Anchor, Timeline};

pub(super) async fn save_all(api: Call, body: ParsedBody<SaveMemories>) -> Result<Response, Refusal> {
    Ok(created(api.operations.save_all(body.request, body.key).await?))
}

pub(super) async fn entries(api: Call, body: ParsedBody<GetEntries>) -> Result<Json<EntriesAnswer>, Refusal> {
    api.operations.entries(body.request).await.map(Json)
}

pub(super) async fn history(
    api: Call,
    path: Result<Path<String>, PathRejection>,
    parameters: Parameters,
) -> Result<Json<HistoryAnswer>, Refusal> {
    parameters.known(&[])?;
    api.operations.history(id(path)).await.map(Json)
}

pub(super) async fn documents(
    api: Call,
    body: ParsedBody<IngestDocuments>,
) -> Result<Json<IngestAnswer>, Refusal> {
    api.operations.ingest(body.request).await.map(Json)
}

pub(super) async fn feedback(api: Call, body: ParsedBody<GiveFeedback>) -> Result<Response, Refusal> {
    Ok(created(api.operations.feedback(body.request, body.key).await?))
}

pub(super) async fn timeline(api: Call, parameters: Parameters) -> Result<Json<TimelineAnswer>, Refusal> {
    let (asked, min_seq) = checked_timeline(&api.operations, parameters)?;
    api.operations.timeline(asked, min_seq).await.map(Json)
}

const TIMELINE_PARAMETERS: &[&str] =
    &["anchor", "before", "after", "project", "session", "tags_any", "tags_all", "known_at", "min_seq"];

fn checked_timeline(
    operations: &Operations,
    parameters: Parameters,
) -> Result<(Timeline, Option<u64>), Refused> {
    let parameters = parameters.known(TIMELINE_PARAMETERS)?;
    let anchor = match parameters.text("anchor") {
        None => return Err(Refused::Missing("anchor")),
        Some(text) if is_id(text) => Anchor::Id(text.to_owned()),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Anchor::Seq(number("anchor", text, 0, SEQ_MAX)?)
        }
        Some(_) => Anchor::Time(parameters.moment("anchor")?.ok_or(Refused::Missing("anchor"))?),
    };
    let some = |name| {
        let found = parameters.number(name, 0, TIMELINE_MAX.into())?;
        Ok::<u32, Refused>(found.and_then(|found| u32::try_from(found).ok()).unwrap_or(TIMELINE_DEFAULT))
    };
    let filter = |name: &str| {
        parameters.text(name).map(|value| request::filter(name, value).map(|()| value.to_owned())).transpose()
    };
    let asked = Timeline {
        anchor,
        before: some("before")?,
        after: some("after")?,
        project: filter("project")?,
        session: filter("session")?,
        tags: parameters.tags()?,
        moment: moment(operations, &parameters)?,
    };
    Ok((asked, parameters.number("min_seq", 0, SEQ_MAX)?))
}
