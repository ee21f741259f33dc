//! Endpoints for clients of other products: LangGraph's store and Anthropic's memory tool. Both store items. These
//! clients have no field for the project, so it is sent in a header.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use engine_core::limits::STORE_TTL_MINUTES_MAX;
use engine_core::request::Refused;
use engine_core::wire::{
    DeleteItem, ErrorCode, ItemView, ListNamespaces, MemoryToolAnswer, PutItem, SearchItems, StoreDelete,
    StoreIndex, StoreItem, StoreItems, StoreNamespaces, StorePut, StoreSearch,
};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::body::ParsedBody;
use super::items::place;
use super::parameters::Parameters;
use super::state::Call;
use crate::operations::NamedItem;
use crate::refusal::Refusal;

/// Header with the project, for clients whose requests have no field for it.
const PROJECT_HEADER: &str = "x-memory-project";
/// Default limit of a list of namespaces, as in LangGraph's server.
const NAMESPACES_DEFAULT: u32 = 100;

fn project(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let mut values = headers.get_all(PROJECT_HEADER).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(project)), None) => Ok(Some(project.to_owned())),
        _ => Err(Refused::Body(format!("{PROJECT_HEADER} must be one name, in ASCII"))),
    }
}

/// `PUT /store/items`.
pub(super) async fn store_put(
    api: Call,
    headers: HeaderMap,
    body: ParsedBody<StorePut>,
) -> Result<StatusCode, Refusal> {
    let StorePut { namespace, key, value, index, ttl } = body.request;
    if !value.get().starts_with('{') {
        return Err(Refused::NotAnObject("value".into()).into());
    }
    let ttl = ttl.map(lifetime).transpose()?;
    let project = project(&headers)?;
    let idempotency_key = body.key.map(|key| key.in_project(project.as_deref()));
    let request = PutItem {
        project,
        namespace,
        key,
        value,
        expires_at: ttl.map(|(_, end)| end),
        index: index.map(fields).transpose()?.flatten(),
        if_version: None,
        session: None,
        actor: None,
    };
    api.operations.put_item_to_live(request, ttl.map(|(ttl_ms, _)| ttl_ms), idempotency_key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the time to live in milliseconds, and the time at which it ends.
fn lifetime(minutes: f64) -> Result<(u64, Timestamp), Refused> {
    let refused = || Refused::Body("ttl must be a number of minutes above 0, at most 52596000".into());
    if !(minutes > 0.0 && minutes <= STORE_TTL_MINUTES_MAX) {
        return Err(refused());
    }
    let time = SignedDuration::try_from_secs_f64(minutes * 60.0).map_err(|_| refused())?;
    let end = Timestamp::now().checked_add(time).map_err(|_| refused())?;
    let milliseconds = u64::try_from(time.as_millis()).map_err(|_| refused())?;
    Ok((milliseconds.max(1), end))
}

fn fields(index: StoreIndex) -> Result<Option<Vec<String>>, Refused> {
    match index {
        StoreIndex::Switch(false) => Ok(Some(Vec::new())),
        StoreIndex::Switch(true) => Err(Refused::Body("index must be false or a list of fields".into())),
        StoreIndex::Fields(fields) => Ok(Some(fields)),
    }
}

/// `GET /store/items`. The response is null if the item does not exist.
pub(super) async fn store_get(
    api: Call,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Json<Option<StoreItem>>, Refusal> {
    let parameters = parameters.known(&["namespace", "key", "refresh_ttl"])?;
    let refreshes = match parameters.text("refresh_ttl") {
        None => true,
        Some(asked) if asked.eq_ignore_ascii_case("true") => true,
        Some(asked) if asked.eq_ignore_ascii_case("false") => false,
        Some(_) => {
            return Err(Refused::Choice { field: "refresh_ttl", known: "true, false".into() }.into());
        }
    };
    let project = project(&headers)?;
    let named = NamedItem { project: project.clone(), ..place(&parameters)? };
    match api.operations.read_item(named, None, None).await {
        Ok(item) => {
            refresh(&api, refreshes, project, vec![item.version]).await?;
            Ok(Json(Some(store_item(item))))
        }
        Err(refusal) if refusal.code() == ErrorCode::ItemNotFound => Ok(Json(None)),
        Err(refusal) => Err(refusal),
    }
}

/// Restarts the time to live of the items that were read. This is done before the response is sent, so that the client
/// can rely on it.
async fn refresh(
    api: &Call,
    refreshes: bool,
    project: Option<String>,
    versions: Vec<u64>,
) -> Result<(), Refusal> {
    if !refreshes {
        return Ok(());
    }
    api.operations.refresh_items(project, versions).await
}

fn store_item(item: ItemView) -> StoreItem {
    let ItemView { namespace, key, value, created_at, updated_at, score, .. } = item;
    StoreItem { namespace, key, value, created_at, updated_at, score }
}

/// `DELETE /store/items`. Deleting an item that does not exist succeeds.
pub(super) async fn store_delete(
    api: Call,
    headers: HeaderMap,
    body: ParsedBody<StoreDelete>,
) -> Result<StatusCode, Refusal> {
    let StoreDelete { namespace, key } = body.request;
    let project = project(&headers)?;
    let idempotency_key = body.key.map(|key| key.in_project(project.as_deref()));
    let request = DeleteItem { project, namespace, key, if_version: None, session: None, actor: None };
    match api.operations.delete_item(request, idempotency_key).await {
        Err(refusal) if refusal.code() != ErrorCode::ItemNotFound => Err(refusal),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

/// `POST /store/items/search`.
pub(super) async fn store_search(
    api: Call,
    headers: HeaderMap,
    body: ParsedBody<StoreSearch>,
) -> Result<Json<StoreItems>, Refusal> {
    let StoreSearch { namespace_prefix, filter, limit, offset, query, refresh_ttl } = body.request;
    let project = project(&headers)?;
    let request = SearchItems { project: project.clone(), namespace_prefix, filter, query, limit, offset };
    let found = api.operations.search_items(request, true).await?;
    let versions = found.items.iter().map(|item| item.version).collect();
    refresh(&api, refresh_ttl.unwrap_or(true), project, versions).await?;
    Ok(Json(StoreItems { items: found.items.into_iter().map(store_item).collect() }))
}

/// Answer to `POST /store/namespaces`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "StoreNamespacesAnswer")]
pub(super) struct Namespaces {
    /// In alphabetical order.
    namespaces: Vec<Vec<String>>,
}

/// `POST /store/namespaces`.
pub(super) async fn store_namespaces(
    api: Call,
    headers: HeaderMap,
    body: ParsedBody<StoreNamespaces>,
) -> Result<Json<Namespaces>, Refusal> {
    let StoreNamespaces { prefix, suffix, max_depth, limit, offset } = body.request;
    let request = ListNamespaces {
        project: project(&headers)?,
        prefix: prefix.unwrap_or_default(),
        suffix: suffix.unwrap_or_default(),
        max_depth,
        limit: Some(limit.unwrap_or(NAMESPACES_DEFAULT)),
        offset,
    };
    let namespaces = api.operations.item_namespaces(request).await?.namespaces;
    Ok(Json(Namespaces { namespaces }))
}

/// `POST /v1/adapters/anthropic-memory`.
pub(super) async fn memory_tool(
    api: Call,
    headers: HeaderMap,
    body: ParsedBody<Map<String, Value>>,
) -> Result<Json<MemoryToolAnswer>, Refusal> {
    if body.key.is_some() {
        let refused = Refused::Body(
            "Idempotency-Key is not supported here: a command always answers from the current state".into(),
        );
        return Err(refused.into());
    }
    api.operations.memory_tool(project(&headers)?, body.request).await.map(Json)
}
