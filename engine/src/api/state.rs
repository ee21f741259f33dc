//! State shared by the HTTP handlers.

use std::sync::Arc;

use super::body_budget::BodyBudget;
use crate::engine::Engine;
use crate::operations::Operations;

/// The state that every handler receives.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) engine: Arc<Engine>,
    pub(super) operations: Operations,
    pub(super) bodies: Arc<BodyBudget>,
}
