//! `/v1/entities`, `/v1/relations` and `/v1/graph`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use engine_core::limits::{
    GRAPH_DEPTH_MAX, GRAPH_NODES_MAX, SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN,
};
use engine_core::request::Refused;
use engine_core::wire::{
    AddObservations, CreateEntities, CreateRelations, EndEntities, EndObservations, EndRelations, GraphView,
    NearMemories, NeighboursAnswer, OpenNodes,
};
use serde::Serialize;

use super::body::ParsedBody;
use super::items::small;
use super::memories::{created, moment};
use super::parameters::Parameters;
use super::state::Call;
use crate::operations::{SEQ_MAX, Written};
use crate::refusal::Refusal;

pub(super) async fn create(api: Call, body: ParsedBody<CreateEntities>) -> Result<Response, Refusal> {
    let written = api.operations.create_entities(body.request, body.key).await?;
    Ok(answer(written, |answer| answer.seq))
}

pub(super) async fn observe(api: Call, body: ParsedBody<AddObservations>) -> Result<Response, Refusal> {
    let written = api.operations.add_observations(body.request, body.key).await?;
    Ok(answer(written, |answer| answer.seq))
}

pub(super) async fn relate(api: Call, body: ParsedBody<CreateRelations>) -> Result<Response, Refusal> {
    let written = api.operations.create_relations(body.request, body.key).await?;
    Ok(answer(written, |answer| answer.seq))
}

pub(super) async fn end_entities(api: Call, body: ParsedBody<EndEntities>) -> Result<Response, Refusal> {
    let written = api.operations.end_entities(body.request, body.key).await?;
    Ok(answer(written, |answer| answer.seq))
}

pub(super) async fn end_observations(
    api: Call,
    body: ParsedBody<EndObservations>,
) -> Result<Response, Refusal> {
    let written = api.operations.end_observations(body.request, body.key).await?;
    Ok(answer(written, |answer| answer.seq))
}

pub(super) async fn end_relations(api: Call, body: ParsedBody<EndRelations>) -> Result<Response, Refusal> {
    let written = api.operations.end_relations(body.request, body.key).await?;
    Ok(answer(written, |answer| answer.seq))
}

/// Responds with 201 if something was written, and with 200 if there was nothing to change.
fn answer<T: Serialize>(written: Written<T>, seq: impl Fn(&T) -> Option<u64>) -> Response {
    match seq(&written.answer) {
        Some(_) => created(written),
        None => Json(written.answer).into_response(),
    }
}

pub(super) async fn read(api: Call, parameters: Parameters) -> Result<Json<GraphView>, Refusal> {
    let parameters = parameters.known(&["project", "after", "limit", "as_of", "known_at", "min_seq"])?;
    let (after, limit) = page(&parameters)?;
    let moment = moment(&api.operations, &parameters)?;
    let min_seq = parameters.number("min_seq", 0, SEQ_MAX)?;
    api.operations.read_graph(text(&parameters, "project"), after, limit, moment, min_seq).await.map(Json)
}

pub(super) async fn search(api: Call, parameters: Parameters) -> Result<Json<GraphView>, Refusal> {
    let parameters = parameters.known(&["q", "project", "after", "limit", "as_of", "known_at", "min_seq"])?;
    let moment = moment(&api.operations, &parameters)?;
    let min_seq = parameters.number("min_seq", 0, SEQ_MAX)?;
    let (project, q) = (text(&parameters, "project"), text(&parameters, "q").unwrap_or_default());
    api.operations.search_nodes(project, q, page(&parameters)?, moment, min_seq).await.map(Json)
}

pub(super) async fn open(
    api: Call,
    parameters: Parameters,
    body: ParsedBody<OpenNodes>,
) -> Result<Json<GraphView>, Refusal> {
    let parameters = parameters.known(&["as_of", "known_at"])?;
    let moment = moment(&api.operations, &parameters)?;
    api.operations.open_nodes(body.request, moment).await.map(Json)
}

pub(super) async fn neighbours(api: Call, parameters: Parameters) -> Result<Json<NeighboursAnswer>, Refusal> {
    let parameters = parameters.known(&["name", "project", "depth", "as_of", "known_at", "min_seq"])?;
    let moment = moment(&api.operations, &parameters)?;
    let min_seq = parameters.number("min_seq", 0, SEQ_MAX)?;
    let depth = small(&parameters, "depth", 1, GRAPH_DEPTH_MAX)?.unwrap_or(1);
    let (project, name) = (text(&parameters, "project"), text(&parameters, "name").unwrap_or_default());
    api.operations.neighbours(project, name, depth, moment, min_seq).await.map(Json)
}

pub(super) async fn memories(api: Call, parameters: Parameters) -> Result<Json<NearMemories>, Refusal> {
    let names = ["q", "project", "depth", "limit", "as_of", "known_at", "min_seq"];
    let parameters = parameters.known(&names)?;
    let moment = moment(&api.operations, &parameters)?;
    let min_seq = parameters.number("min_seq", 0, SEQ_MAX)?;
    let depth = small(&parameters, "depth", 1, GRAPH_DEPTH_MAX)?.unwrap_or(1);
    let limit =
        small(&parameters, "limit", SEARCH_LIMIT_MIN, SEARCH_LIMIT_MAX)?.unwrap_or(SEARCH_LIMIT_DEFAULT);
    let (project, q) = (text(&parameters, "project"), text(&parameters, "q").unwrap_or_default());
    api.operations.memories_near(project, q, (depth, limit), moment, min_seq).await.map(Json)
}

/// Returns the page that a request asks for: the name to start after, and the maximum number of entities.
fn page(parameters: &Parameters) -> Result<(Option<String>, Option<u32>), Refused> {
    Ok((text(parameters, "after"), small(parameters, "limit", 1, GRAPH_NODES_MAX)?))
}

fn text(parameters: &Parameters, name: &str) -> Option<String> {
    parameters.text(name).map(str::to_owned)
}
