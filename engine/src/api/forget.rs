//! `/v1/forget`: removes memories for good.

use axum::Json;
use axum::response::{IntoResponse, Response};
use engine_core::wire::ForgetMemories;

use super::body::ParsedBody;
use super::state::Call;
use crate::refusal::Refusal;

/// Responds with 200 and the report, also if an earlier request used the same key.
pub(super) async fn forget(api: Call, body: ParsedBody<ForgetMemories>) -> Result<Response, Refusal> {
    let written = api.operations.forget(body.request, body.key).await?;
    Ok(Json(written.answer).into_response())
}
