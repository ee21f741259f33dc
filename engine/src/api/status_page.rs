//! The status page on the admin port, for people.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use engine_core::status_page::{CONTENT_SECURITY_POLICY, status_page};

use crate::engine::Engine;

/// Responds with the status page.
pub(super) async fn serve(State(engine): State<Arc<Engine>>) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(status_page(&engine.status_facts()))).into_response()
}
