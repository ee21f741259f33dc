//! Handlers of the admin port: upkeep that is asked for on a schedule.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use engine_core::wire::{StartUpkeep, UpkeepRun, UpkeepRuns};

use super::mode::read;
use crate::engine::Engine;
use crate::refusal::Refusal;
use crate::upkeep;

/// Responds with the last run of each task.
pub(super) async fn report(State(engine): State<Arc<Engine>>) -> Json<UpkeepRuns> {
    Json(UpkeepRuns { runs: engine.upkeep.all() })
}

/// Begins a run, unless there is one for the same request. Responds when it ends, or soon with the state `running`: it
/// goes on, and the same request again shows how it ended.
pub(super) async fn start(State(engine): State<Arc<Engine>>, body: Body) -> Result<Json<UpkeepRun>, Refusal> {
    let wanted: StartUpkeep = read(body).await?;
    upkeep::run(&engine, wanted).await.map(Json)
}
