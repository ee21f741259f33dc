//! `/v1/memories` and `/v1/search`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine_core::digest::is_id;
use engine_core::limits::{SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN, SEARCH_OFFSET_MAX};
use engine_core::request::{self, Refused};
use engine_core::wire::{ErrorCode, MemoryView, SaveMemory, Saved, SearchAnswer};

use super::Api;
use super::body::Checked;
use super::parameters::Parameters;
use super::refusal::{Refusal, log_corrupt};
use crate::log::{Receipt, Store};
use crate::projection::{Search, memory};

pub(super) async fn save(State(api): State<Api>, body: Checked<SaveMemory>) -> Result<Response, Refusal> {
    let draft = request::memory(body.request)?;
    let receipt = api.engine.commit(vec![draft], body.key).await?;
    let saved = Saved { id: receipt.id.clone(), seq: receipt.last_seq, hash: receipt.hash.to_string() };
    Ok(answer(&receipt, Json(saved)))
}

/// 201 for what is new, 200 for what was there under the same key.
pub(super) fn answer(receipt: &Receipt, body: impl IntoResponse) -> Response {
    if receipt.replayed {
        (StatusCode::OK, [("idempotency-replayed", "true")], body).into_response()
    } else {
        (StatusCode::CREATED, body).into_response()
    }
}

pub(super) async fn read(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<MemoryView>, Refusal> {
    let unknown = || {
        Refusal::new(ErrorCode::EntryNotFound, "no memory has this id")
            .hint("ids come from saving and searching")
    };
    let id = id.map(|Path(id)| id).ok().filter(|id| is_id(id)).ok_or_else(unknown)?;
    let found = query(&api, "get", move |connection| memory(connection, &id)).await?;
    found.map(Json).ok_or_else(unknown)
}

pub(super) async fn search(
    State(api): State<Api>,
    parameters: Parameters,
) -> Result<Json<SearchAnswer>, Refusal> {
    let search = checked_search(parameters)?;
    query(&api, "search", move |connection| search.run(connection)).await.map(Json)
}

fn checked_search(parameters: Parameters) -> Result<Search, Refused> {
    let parameters = parameters.known(&["q", "project", "type", "limit", "offset"])?;
    let words = parameters.text("q").unwrap_or_default();
    request::words(words)?;
    let filter = |name: &str| {
        parameters.text(name).map(|value| request::filter(name, value).map(|()| value.to_owned())).transpose()
    };
    let number = |name, min: u32, max: u32, default: u32| {
        let found = parameters.number(name, min.into(), max.into())?;
        Ok::<u32, Refused>(found.and_then(|found| u32::try_from(found).ok()).unwrap_or(default))
    };
    Ok(Search {
        words: words.to_owned(),
        project: filter("project")?,
        kind: filter("type")?,
        limit: number("limit", SEARCH_LIMIT_MIN, SEARCH_LIMIT_MAX, SEARCH_LIMIT_DEFAULT)?,
        offset: number("offset", 0, SEARCH_OFFSET_MAX, 0)?,
    })
}

async fn query<T: Send + 'static>(
    api: &Api,
    operation: &'static str,
    read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    if let Store::Corrupt(_) = api.engine.published.store() {
        return Err(log_corrupt());
    }
    let metrics = &api.engine.metrics;
    metrics.queries.with_label_values(&[operation]).inc();
    let _timer = metrics.query_seconds.with_label_values(&[operation]).start_timer();
    Ok(api.engine.projection.read(read).await?)
}
