//! Handlers of the admin port for drills: faults of the engine's own calls.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use engine_core::wire::{DrillFaultsHealth, ErrorCode, InjectFault};

use super::mode::{no_body, read};
use crate::engine::Engine;
use crate::refusal::Refusal;

type Answer = Result<Json<DrillFaultsHealth>, Refusal>;

/// Makes the engine's calls of the embedding service fail for some time.
pub(super) async fn inject(State(engine): State<Arc<Engine>>, body: Body) -> Answer {
    let request: InjectFault = read(body).await?;
    if engine.embeddings.is_none() {
        return Err(Refusal::new(ErrorCode::InvalidArgument, "there is no embedding service")
            .hint("nothing was done; only calls of an embedding service can be made to fail"));
    }
    engine.modes.inject_drill_fault(request).map(Json)
}

/// Ends the fault.
pub(super) async fn end(State(engine): State<Arc<Engine>>, body: Body) -> Answer {
    no_body(body).await?;
    engine.modes.end_drill_fault().map(Json)
}
