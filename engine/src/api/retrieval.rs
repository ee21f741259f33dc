//! `/v1/checkout` and `/v1/retrieval/weights`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine_core::wire::{CheckoutRequest, SetWeights, WeightsView};

use super::body::ParsedBody;
use super::memories::created;
use super::state::Api;
use crate::refusal::Refusal;

pub(super) async fn checkout(
    State(api): State<Api>,
    body: ParsedBody<CheckoutRequest>,
) -> Result<Response, Refusal> {
    Ok(Json(&*api.operations.checkout(body.request).await?).into_response())
}

pub(super) async fn weights(State(api): State<Api>) -> Result<Json<WeightsView>, Refusal> {
    api.operations.weights().await.map(Json)
}

pub(super) async fn set_weights(
    State(api): State<Api>,
    body: ParsedBody<SetWeights>,
) -> Result<Response, Refusal> {
    Ok(created(api.operations.set_weights(body.request, body.key).await?))
}

pub(super) async fn reset_weights(State(api): State<Api>) -> Result<Response, Refusal> {
    Ok(created(api.operations.reset_weights().await?))
}
