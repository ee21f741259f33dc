//! The public port: requests are refused without a ticket, which the admin port takes over.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine_core::ticket::TicketFault;
use engine_core::wire::{DeliverTicket, ErrorCode, TicketHealth};

use super::body::discard_small;
use super::mode::read;
use crate::engine::Engine;
use crate::operations::not_open;
use crate::refusal::Refusal;
use crate::ticket::PublicGate;

/// The gate of the port through which a request has come, if it has one.
#[derive(Debug, Clone, Default)]
pub(super) struct PortGate(pub(super) Option<Arc<PublicGate>>);

/// Refuses a request through the public port while the engine holds no ticket, before anything else is done for it.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let PortGate(gate) = request.extensions().get().cloned().unwrap_or_default();
    if gate.is_none_or(|gate| gate.is_open()) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    discard_small(&head.headers, body).await;
    let refusal =
        Refusal::new(ErrorCode::NotExposed, "this engine may not be reached from outside of its cluster now")
            .hint("nothing was done; try again after Retry-After seconds");
    let mut response = refusal.into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Takes over a ticket, or its withdrawal.
pub(super) async fn deliver(
    State(engine): State<Arc<Engine>>,
    body: Body,
) -> Result<Json<TicketHealth>, Refusal> {
    let delivered: DeliverTicket = read(body).await?;
    let gate = engine.public_gate().ok_or_else(|| {
        Refusal::new(ErrorCode::NotFound, "this engine has no public port")
            .hint("start it with --public-listen")
    })?;
    let log_id = engine.published.head().map(|head| head.log_id.clone());
    let log_id = match log_id {
        Some(log_id) => log_id,
        None if delivered.is_open => return Err(not_open()),
        None => String::new(),
    };
    gate.deliver(&delivered, &log_id).map(Json).map_err(|fault| {
        let code = match fault {
            TicketFault::Form(_) => ErrorCode::InvalidArgument,
            TicketFault::Challenge
            | TicketFault::Log
            | TicketFault::Resource
            | TicketFault::Generation(_, _) => ErrorCode::VersionConflict,
        };
        Refusal::new(code, fault.to_string())
            .hint("read `ticket` in GET /health, judge again, and send a new ticket")
    })
}
