//! What HTTP handlers share.

use std::sync::Arc;

use super::body_budget::BodyBudget;
use crate::engine::Engine;
use crate::operations::Operations;

/// What handlers work with.
#[derive(Debug, Clone)]
pub(super) struct Api {
    pub(super) engine: Arc<Engine>,
    pub(super) operations: Operations,
    pub(super) bodies: Arc<BodyBudget>,
}
