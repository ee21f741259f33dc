//! `/v1/memories` and `/v1/search`.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine_core::limits::{SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN, SEARCH_OFFSET_MAX};
use engine_core::request::{self, Refused};
use engine_core::wire::{InvalidateMemory, SaveMemory, SearchMode};

use super::blocking::run_blocking;
use super::body::ParsedBody;
use super::parameters::Parameters;
use super::state::Call;
use crate::operations::{Operations, SEQ_MAX, Written};
use crate::refusal::Refusal;
use engine_projection::{LogState, Moment, Search};

pub(super) async fn save(api: Call, body: ParsedBody<SaveMemory>) -> Result<Response, Refusal> {
    Ok(created(api.operations.save(body.request, body.key).await?))
}

/// Responds with 201 to a new write, and with 200 if the write was done before with the same key or wrote nothing.
pub(super) fn created<T: serde::Serialize>(written: Written<T>) -> Response {
    let body = Json(written.answer);
    match (written.replayed, written.wrote) {
        (true, _) => (StatusCode::OK, [("idempotency-replayed", "true")], body).into_response(),
        (false, true) => (StatusCode::CREATED, body).into_response(),
        // Nothing was written, because the memory is known already.
        (false, false) => (StatusCode::OK, body).into_response(),
    }
}

/// Returns the id in a path. If the path is not UTF-8, returns an empty id, which no memory has.
pub(super) fn id(path: Result<Path<String>, PathRejection>) -> String {
    path.map(|Path(id)| id).unwrap_or_default()
}

pub(super) async fn read(
    api: Call,
    path: Result<Path<String>, PathRejection>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let parameters = parameters.known(&["as_of", "known_at", "min_seq"])?;
    let moment = moment(&api.operations, &parameters)?;
    let min_seq = parameters.number("min_seq", 0, SEQ_MAX)?;
    Ok(Json(&*api.operations.read(id(path), moment, min_seq).await?).into_response())
}

/// If there are more results than this, serialising them takes as long as a typical request, so it is done outside the
/// async worker.
const ITEMS_LONG: usize = 100;

pub(super) async fn search(api: Call, parameters: Parameters) -> Result<Response, Refusal> {
    let (search, min_seq) = checked_search(&api.operations, parameters)?;
    let answer = api.operations.search(search, min_seq).await?;
    Ok(run_blocking(answer.items.len() > ITEMS_LONG, || Json(&*answer).into_response()))
}

const SEARCH_PARAMETERS: &[&str] = &[
    "q", "project", "type", "session", "tags_any", "tags_all", "mode", "explain", "limit", "offset", "as_of",
    "known_at", "min_seq",
];

fn checked_search(operations: &Operations, parameters: Parameters) -> Result<(Search, Option<u64>), Refused> {
    let parameters = parameters.known(SEARCH_PARAMETERS)?;
    let words = parameters.text("q").unwrap_or_default();
    request::words(words)?;
    let filter = |name: &str| {
        parameters.text(name).map(|value| request::filter(name, value).map(|()| value.to_owned())).transpose()
    };
    let number = |name, min: u32, max: u32, default: u32| {
        let found = parameters.number(name, min.into(), max.into())?;
        Ok::<u32, Refused>(found.and_then(|found| u32::try_from(found).ok()).unwrap_or(default))
    };
    let search = Search {
        words: words.to_owned(),
        project: filter("project")?,
        kind: filter("type")?,
        session: filter("session")?,
        tags: parameters.tags()?,
        mode: parameters
            .one_of("mode", &[("hybrid", SearchMode::Hybrid), ("lexical", SearchMode::Lexical)])?,
        explain: parameters.one_of("explain", &[("false", false), ("true", true)])?,
        moment: moment(operations, &parameters)?,
        limit: number("limit", SEARCH_LIMIT_MIN, SEARCH_LIMIT_MAX, operations.search_limit())?,
        offset: number("offset", 0, SEARCH_OFFSET_MAX, 0)?,
    };
    Ok((search, parameters.number("min_seq", 0, SEQ_MAX)?))
}

/// Returns the moment that a request is about, from its parameters `as_of` and `known_at`.
pub(super) fn moment(operations: &Operations, parameters: &Parameters) -> Result<Moment, Refused> {
    Ok(operations.moment(parameters.moment("as_of")?, known(parameters)?))
}

/// Returns the state of the log that a request is about, from its parameter `known_at`: a sequence number or a time.
pub(super) fn known(parameters: &Parameters) -> Result<Option<LogState>, Refused> {
    let is_seq = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Ok(match parameters.text("known_at") {
        None => None,
        Some(text) if is_seq(text) => parameters.number("known_at", 0, SEQ_MAX)?.map(LogState::Through),
        Some(_) => parameters.moment("known_at")?.map(LogState::At),
    })
}

pub(super) async fn invalidate(
    api: Call,
    path: Result<Path<String>, PathRejection>,
    body: ParsedBody<InvalidateMemory>,
) -> Result<Response, Refusal> {
    Ok(created(api.operations.invalidate(id(path), body.request, body.key).await?))
}
