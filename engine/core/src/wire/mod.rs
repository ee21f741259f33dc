//! The JSON that crosses the network. Everybody who talks to an engine (its own HTTP layer, the operator, tests)
//! uses these types, so that a change of shape is a compile error on both sides.
//!
//! Requests refuse unknown fields; answers are open, so that an older reader accepts a newer engine.

mod health;
mod integrity;
mod log;
mod memory;
pub mod patterns;
mod proof;
mod refusal;

pub use health::{
    EngineStatus, Health, LogHealth, ProjectionHealth, ProjectionState, RebuildHealth, StorageHealth,
    StorageReason,
};
pub use integrity::{
    AcceptedRollback, Anchor, CheckpointAnswer, CheckpointView, GivenAnchor, IntegrityFault,
    IntegrityFaultKind, IntegrityHealth,
};
pub use log::{AppendEvents, Appended, EventPage, EventRequest, EventView, LogHead};
pub use memory::{InvalidateMemory, MemoryView, SaveMemory, Saved, SearchAnswer, SearchHit, Validity};
pub use proof::{ConsistencyAnswer, InclusionAnswer};
pub use refusal::{ErrorBody, ErrorCode, ErrorDetail};
