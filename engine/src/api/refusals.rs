//! Converts errors to HTTP responses, and answers requests for unknown paths and methods.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine_core::wire::ErrorCode;

use crate::refusal::Refusal;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (code, retry_after) = (self.code(), self.retry_after_s());
        let mut response = (status, Json(self.into_body())).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(code);
        response
    }
}

/// Answers a request for an unknown path.
pub(super) async fn not_found() -> Refusal {
    Refusal::new(ErrorCode::NotFound, "there is no such path")
        .hint("the API is /v1/memories, /v1/search, /v1/items, /v1/entities, /v1/relations, /v1/graph, /v1/events and /v1/log")
}

/// Answers a request with a method that the path does not support.
pub(super) async fn method_not_allowed() -> Refusal {
    Refusal::new(ErrorCode::MethodNotAllowed, "the path does not support this method")
        .hint("the Allow header lists the methods it supports")
}
