//! `/v1/memories` and `/v1/search`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use engine_core::digest::is_id;
use engine_core::limits::{SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN, SEARCH_OFFSET_MAX};
use engine_core::request::{self, Refused};
use engine_core::row::microseconds;
use engine_core::wire::{ErrorCode, InvalidateMemory, MemoryView, SaveMemory, Saved, SearchAnswer, Validity};
use jiff::Timestamp;

use super::Api;
use super::body::Checked;
use super::parameters::Parameters;
use super::refusal::{Refusal, log_corrupt};
use crate::log::Receipt;
use crate::projection::{Found, Known, Moment, Search, Target, memory, target};

/// Sequence numbers as SQLite and JSON have them.
const SEQ_MAX: u64 = i64::MAX.unsigned_abs();

pub(super) async fn save(State(api): State<Api>, body: Checked<SaveMemory>) -> Result<Response, Refusal> {
    let draft = request::memory(body.request)?;
    let receipt = api.engine.commit(vec![draft], body.key).await?;
    Ok(answer(&receipt, Json(saved(&receipt))))
}

fn saved(receipt: &Receipt) -> Saved {
    Saved { id: receipt.id.clone(), seq: receipt.last_seq, hash: receipt.hash.to_string() }
}

/// 201 for what is new, 200 for what was there under the same key.
pub(super) fn answer(receipt: &Receipt, body: impl IntoResponse) -> Response {
    if receipt.replayed {
        (StatusCode::OK, [("idempotency-replayed", "true")], body).into_response()
    } else {
        (StatusCode::CREATED, body).into_response()
    }
}

fn unknown() -> Refusal {
    Refusal::new(ErrorCode::EntryNotFound, "no memory has this id").hint("ids come from saving and searching")
}

fn known_id(id: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    id.map(|Path(id)| id).ok().filter(|id| is_id(id)).ok_or_else(unknown)
}

pub(super) async fn read(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    parameters: Parameters,
) -> Result<Json<MemoryView>, Refusal> {
    let id = known_id(id)?;
    let parameters = parameters.known(&["as_of", "known_at", "min_seq"])?;
    let readable = api.engine.published.readable_through();
    let moment = moment(&parameters, readable)?;
    let min_seq = parameters.number("min_seq", 0, SEQ_MAX)?;
    match query(&api, "get", min_seq, move |connection| memory(connection, &id, &moment)).await? {
        Found::Valid(view) => Ok(Json(*view)),
        Found::Unknown if readable < SEQ_MAX => Err(log_corrupt()),
        Found::Unknown => Err(unknown()),
        Found::NotValid(Validity { from, until, .. }) => {
            let end = until.map(|until| format!(" until {until}")).unwrap_or_default();
            Err(Refusal::new(ErrorCode::EntryNotValid, format!("the memory is true from {from}{end}"))
                .hint(format!("as_of={from} reads it as it was true then")))
        }
    }
}

pub(super) async fn search(
    State(api): State<Api>,
    parameters: Parameters,
) -> Result<Json<SearchAnswer>, Refusal> {
    let (search, min_seq) = checked_search(parameters, api.engine.published.readable_through())?;
    query(&api, "search", min_seq, move |connection| search.run(connection)).await.map(Json)
}

const SEARCH_PARAMETERS: &[&str] =
    &["q", "project", "type", "limit", "offset", "as_of", "known_at", "min_seq"];

fn checked_search(parameters: Parameters, readable: u64) -> Result<(Search, Option<u64>), Refused> {
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
        moment: moment(&parameters, readable)?,
        limit: number("limit", SEARCH_LIMIT_MIN, SEARCH_LIMIT_MAX, SEARCH_LIMIT_DEFAULT)?,
        offset: number("offset", 0, SEARCH_OFFSET_MAX, 0)?,
    };
    Ok((search, parameters.number("min_seq", 0, SEQ_MAX)?))
}

/// The moment asked about. Of a log that does not verify only what stands before the breach is known.
fn moment(parameters: &Parameters, readable: u64) -> Result<Moment, Refused> {
    let is_seq = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let known = match parameters.text("known_at") {
        None => None,
        Some(text) if is_seq(text) => parameters.number("known_at", 0, SEQ_MAX)?.map(Known::Through),
        Some(_) => parameters.moment("known_at")?.map(Known::At),
    };
    let known = match known {
        known if readable >= SEQ_MAX => known,
        Some(Known::Through(seq)) => Some(Known::Through(seq.min(readable))),
        _ => Some(Known::Through(readable)),
    };
    Ok(Moment { now: Timestamp::now(), as_of: parameters.moment("as_of")?, known })
}

/// Reads the projection on everything up to `min_seq`, or else on everything that was durable when the request came:
/// who has the answer to a write reads what was written.
async fn query<T: Send + 'static>(
    api: &Api,
    operation: &'static str,
    min_seq: Option<u64>,
    read: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    // What verifies is read; of a log of which nothing does, nothing is.
    let published = &api.engine.published;
    if published.fault().is_some() && published.head().is_none() {
        return Err(log_corrupt());
    }
    let metrics = &api.engine.metrics;
    metrics.queries.with_label_values(&[operation]).inc();
    let _timer = metrics.query_seconds.with_label_values(&[operation]).start_timer();
    let wanted = min_seq.unwrap_or_else(|| api.engine.published.head_seq());
    Ok(api.engine.projection.read(wanted, read).await?)
}

pub(super) async fn invalidate(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    body: Checked<InvalidateMemory>,
) -> Result<Response, Refusal> {
    let id = known_id(id)?;
    let Checked { request, key, .. } = &body;
    let (wanted, successor) = (id.clone(), request.superseded_by.clone());
    let key = key.as_ref().map(|key| key.key.clone());
    let found = query(&api, "target", None, move |connection| {
        target(connection, &wanted, successor.as_deref(), key.as_deref())
    });
    let target = found.await?.ok_or_else(unknown)?;
    if !target.repeated {
        check_end(&id, request, &target, Timestamp::now())?;
    }
    let draft = request::invalidation(&id, target.project, body.request)?;
    let receipt = api.engine.commit(vec![draft], body.key).await?;
    Ok(answer(&receipt, Json(saved(&receipt))))
}

/// Two clients at once may both pass: the earlier of two ends counts then, as it does anyway.
fn check_end(id: &str, request: &InvalidateMemory, target: &Target, now: Timestamp) -> Result<(), Refusal> {
    let Validity { from, until: known, invalidated_by, .. } = &target.validity;
    let until = request.valid_until.unwrap_or(now);
    let refused = |message: String| Refusal::new(ErrorCode::InvalidArgument, message);
    match &request.superseded_by {
        Some(successor) if successor == id => {
            return Err(refused("superseded_by is the memory itself".into())
                .hint("save what is true now first, and name its id"));
        }
        Some(_) if !target.successor => {
            return Err(refused("superseded_by names no memory".into())
                .hint("save what is true now first, and name its id"));
        }
        _ => {}
    }
    if microseconds(until) < microseconds(*from) {
        return Err(refused(format!("valid_until is before valid_from, which is {from}"))
            .hint(format!("valid_until={from} says that it was never true")));
    }
    match known {
        Some(known) if microseconds(until) >= microseconds(*known) => {
            let by = invalidated_by.as_deref().unwrap_or_default();
            Err(Refusal::new(
                ErrorCode::AlreadyInvalidated,
                format!("event {by} ended it at {known} already"),
            )
            .hint("an end can be made earlier, never later: save what is true again as a new memory"))
        }
        _ => Ok(()),
    }
}
