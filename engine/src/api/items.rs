//! `/v1/items`: values under a namespace and a key.

use axum::Json;
use axum::response::Response;
use engine_core::limits::{ITEMS_LIMIT_MAX, SEARCH_OFFSET_MAX};
use engine_core::request::{self, Refused};
use engine_core::wire::{
    DeleteItem, ItemVersions, ItemView, ItemsAnswer, ListNamespaces, NamespacesAnswer, PutItem, SearchItems,
};

use super::body::ParsedBody;
use super::memories::{created, known};
use super::parameters::Parameters;
use super::state::Call;
use crate::operations::{NamedItem, SEQ_MAX};
use crate::refusal::Refusal;

pub(super) async fn put(api: Call, body: ParsedBody<PutItem>) -> Result<Response, Refusal> {
    Ok(created(api.operations.put_item(body.request, body.key).await?))
}

pub(super) async fn delete(api: Call, body: ParsedBody<DeleteItem>) -> Result<Response, Refusal> {
    Ok(created(api.operations.delete_item(body.request, body.key).await?))
}

pub(super) async fn read(api: Call, parameters: Parameters) -> Result<Json<ItemView>, Refusal> {
    let parameters = parameters.known(&["project", "namespace", "key", "known_at", "min_seq"])?;
    let named = place(&parameters)?;
    let min_seq = parameters.number("min_seq", 0, SEQ_MAX)?;
    api.operations.read_item(named, known(&parameters)?, min_seq).await.map(Json)
}

pub(super) async fn versions(api: Call, parameters: Parameters) -> Result<Json<ItemVersions>, Refusal> {
    let parameters = parameters.known(&["project", "namespace", "key", "limit", "offset", "min_seq"])?;
    let named = place(&parameters)?;
    let limit = small(&parameters, "limit", 1, ITEMS_LIMIT_MAX)?;
    let page = (limit, small(&parameters, "offset", 0, SEARCH_OFFSET_MAX)?.unwrap_or(0));
    let min_seq = parameters.number("min_seq", 0, SEQ_MAX)?;
    api.operations.item_versions(named, page, min_seq).await.map(Json)
}

pub(super) async fn search(api: Call, body: ParsedBody<SearchItems>) -> Result<Json<ItemsAnswer>, Refusal> {
    api.operations.search_items(body.request, false).await.map(Json)
}

pub(super) async fn namespaces(
    api: Call,
    body: ParsedBody<ListNamespaces>,
) -> Result<Json<NamespacesAnswer>, Refusal> {
    api.operations.item_namespaces(body.request).await.map(Json)
}

/// Returns the item that the parameters name. The segments of `namespace` are separated by full stops.
pub(super) fn place(parameters: &Parameters) -> Result<NamedItem, Refused> {
    let needed = |name: &str| parameters.text(name).ok_or_else(|| Refused::Empty(name.into()));
    let namespace = request::item_namespace(needed("namespace")?);
    let project = parameters.text("project").map(str::to_owned);
    Ok(NamedItem { project, namespace, key: needed("key")?.to_owned() })
}

/// Parses a parameter that is a number of at most 32 bits.
pub(super) fn small(
    parameters: &Parameters,
    name: &'static str,
    min: u32,
    max: u32,
) -> Result<Option<u32>, Refused> {
    let found = parameters.number(name, min.into(), max.into())?;
    Ok(found.and_then(|found| u32::try_from(found).ok()))
}
