//! `/v1/checkout` and `/v1/retrieval/weights`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use engine_core::wire::{CheckoutRequest, SetWeights, WeightsView};

use super::body::ParsedBody;
use super::memories::created;
use super::state::Call;
use crate::refusal::Refusal;

pub(super) async fn checkout(api: Call, body: ParsedBody<CheckoutRequest>) -> Result<Response, Refusal> {
    Ok(Json(&*api.operations.checkout(body.request).await?).into_response())
}

pub(super) async fn weights(api: Call) -> Result<Json<WeightsView>, Refusal> {
    api.operations.weights().await.map(Json)
}

pub(super) async fn set_weights(api: Call, body: ParsedBody<SetWeights>) -> Result<Response, Refusal> {
    Ok(created(api.operations.set_weights(body.request, body.key).await?))
}

pub(super) async fn reset_weights(api: Call) -> Result<Response, Refusal> {
    Ok(created(api.operations.reset_weights().await?))
}
