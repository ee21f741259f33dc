//! Memory budget for the request bodies that are being received.

use std::sync::Arc;

use engine_core::wire::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// Maximum total size of the request bodies in memory, KiB. An engine has to run in 512 MiB.
const BODIES_KIB_MAX: usize = 64 << 10;

/// A body up to this size takes nothing from the budget. The limit on connections bounds the memory of such bodies, and
/// a few slow senders of large bodies must not prevent other clients from saving a memory.
pub(super) const SMALL_BODY_BYTES: usize = 64 << 10;

/// The budget. A request whose body does not fit is refused before any byte of the body is read; the client then
/// retries.
#[derive(Debug)]
pub(super) struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    pub(super) fn new() -> BodyBudget {
        BodyBudget(Arc::new(Semaphore::new(BODIES_KIB_MAX)))
    }

    /// Reserves memory for a body until the permit is dropped; `None` for a small body, which needs no reservation.
    ///
    /// # Errors
    /// The budget is used up (`OVERLOADED`).
    pub(super) fn take(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        if bytes <= SMALL_BODY_BYTES {
            return Ok(None);
        }
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(kib).map(Some).map_err(|_| {
            Refusal::new(
                ErrorCode::Overloaded,
                "the request bodies being received use up the memory for bodies",
            )
            .hint("nothing was written; repeat it after Retry-After seconds")
        })
    }
}
