//! The status page on the admin port, for people.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use engine_core::status_page::{CONTENT_SECURITY_POLICY, status_page};

use crate::engine::Engine;

/// Responds with the status page. With `refresh=off` it does not load itself again.
pub(super) async fn serve(State(engine): State<Arc<Engine>>, RawQuery(query): RawQuery) -> Response {
    let is_off = query.is_some_and(|query| query.split('&').any(|pair| pair == "refresh=off"));
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Html(status_page(&engine.status_facts(!is_off)))).into_response()
}
