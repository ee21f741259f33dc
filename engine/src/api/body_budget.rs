//! Memory for request bodies that are being received.

use std::sync::Arc;

use engine_core::wire::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// All bodies in memory at one time, in KiB: an engine has to live in half a gibibyte.
const BODIES_KIB_MAX: usize = 64 << 10;

/// A body up to this size needs no room: the bound on connections bounds them all, and a few slow senders of large
/// bodies must not keep everybody else from saving a memory.
pub(super) const SMALL_BODY_BYTES: usize = 64 << 10;

/// Room for bodies. Whoever finds none is told to come back, before a byte is read.
#[derive(Debug)]
pub(super) struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    pub(super) fn new() -> BodyBudget {
        BodyBudget(Arc::new(Semaphore::new(BODIES_KIB_MAX)))
    }

    pub(super) fn take(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        if bytes <= SMALL_BODY_BYTES {
            return Ok(None);
        }
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(kib).map(Some).map_err(|_| {
            Refusal::new(ErrorCode::Overloaded, "too many bytes are being received")
                .hint("nothing was written; repeat it after Retry-After seconds")
        })
    }
}
