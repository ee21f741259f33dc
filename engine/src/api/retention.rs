//! `/v1/retention`: plans retention and applies a plan.

use axum::Json;
use axum::response::Response;
use engine_core::wire::{ApplyRetention, PlanRetention, RetentionPlan};

use super::body::ParsedBody;
use super::memories::created;
use super::state::Call;
use crate::refusal::Refusal;

pub(super) async fn plan(api: Call, body: ParsedBody<PlanRetention>) -> Result<Json<RetentionPlan>, Refusal> {
    api.operations.plan_retention(body.request).await.map(Json)
}

pub(super) async fn apply(api: Call, body: ParsedBody<ApplyRetention>) -> Result<Response, Refusal> {
    Ok(created(api.operations.apply_retention(body.request, body.key).await?))
}
