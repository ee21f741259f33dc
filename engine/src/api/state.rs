//! State shared by the HTTP handlers.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use engine_core::wire::ErrorCode;

use super::body_budget::BodyBudget;
use crate::access::{AccessControl, Session};
use crate::engine::Engine;
use crate::operations::Operations;
use crate::refusal::Refusal;

/// The route whose answers are compared with those of a canary.
pub(super) const COMPARED: &str = "/v1/search";

/// The state that every handler receives. It has no operations: those belong to the caller of one request.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) engine: Arc<Engine>,
    pub(super) control: Arc<AccessControl>,
    pub(super) bodies: Arc<BodyBudget>,
}

/// What a handler may do: the operations, as the caller of the request.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operations: Operations,
}

impl FromRequestParts<Api> for Call {
    type Rejection = Refusal;

    async fn from_request_parts(head: &mut Parts, api: &Api) -> Result<Call, Refusal> {
        // `authenticate` has recognised the caller of every route. A route without it serves nobody.
        let session = head.extensions.get::<Session>().cloned();
        let session =
            session.ok_or_else(|| Refusal::new(ErrorCode::Unauthenticated, "the caller is not known"))?;
        Ok(Call { operations: Operations::new(Arc::clone(&api.engine), session) })
    }
}
