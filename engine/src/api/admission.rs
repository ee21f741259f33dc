//! Limits the connections of a port, in total and per client address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine_core::limits::CONNECTIONS_MAX;
use engine_core::wire::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;
use engine_projection::ClientAddress;

/// Maximum number of connections that are being refused, or are being closed while the client still sends. Further
/// connections are dropped without a response.
const LEAVING_MAX: usize = 64;

/// The connection slots of one port.
#[derive(Debug)]
pub(super) struct ConnectionLimiter {
    slots: Arc<Semaphore>,
    leaving: Arc<Semaphore>,
    per_address_max: usize,
    counts: Arc<Mutex<HashMap<ClientAddress, usize>>>,
}

/// The slot of a connection; released when dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    _permit: OwnedSemaphorePermit,
    address: ClientAddress,
    counts: Arc<Mutex<HashMap<ClientAddress, usize>>>,
}

impl ConnectionLimiter {
    pub(super) fn new(per_address_max: usize) -> ConnectionLimiter {
        ConnectionLimiter {
            slots: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            leaving: Arc::new(Semaphore::new(LEAVING_MAX)),
            per_address_max,
            counts: Arc::default(),
        }
    }

    /// Takes a slot for a connection.
    ///
    /// # Errors
    /// The address uses all its slots (`RATE_LIMITED`), or the port has no free slot (`OVERLOADED`).
    pub(super) fn admit(&self, address: ClientAddress) -> Result<ConnectionSlot, Refusal> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let held = counts.get(&address).copied().unwrap_or(0);
        if held >= self.per_address_max {
            let rule = format!("{held} connections from one address are open, which is the limit");
            return Err(Refusal::new(ErrorCode::RateLimited, rule)
                .hint("reuse open connections, or raise limits.connectionsPerAddress"));
        }
        let permit = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            Refusal::new(ErrorCode::Overloaded, format!("all {CONNECTIONS_MAX} connections are in use"))
                .hint("nothing was done; repeat it after Retry-After seconds")
        })?;
        counts.insert(address, held + 1);
        Ok(ConnectionSlot { _permit: permit, address, counts: Arc::clone(&self.counts) })
    }

    /// Takes a slot for a connection that is refused with a response or closed gracefully. `None` if no slot is free.
    pub(super) fn leave(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.leaving).try_acquire_owned().ok()
    }

    /// Waits until every slot is free.
    pub(super) async fn empty(&self) {
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        // An error means that the semaphore is closed.
        let _all = self.slots.acquire_many(all).await;
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> ClientAddress {
        ClientAddress::new([10, 0, 0, last].into())
    }

    #[test]
    fn one_address_has_its_share_and_all_have_the_whole() {
        let limiter = ConnectionLimiter::new(200);
        let mut slots: Vec<ConnectionSlot> = (0..200).map(|_| limiter.admit(address(1)).unwrap()).collect();
        assert_eq!(limiter.admit(address(1)).unwrap_err().code(), ErrorCode::RateLimited);
        slots
            .extend((0..CONNECTIONS_MAX - 200).map(|n| limiter.admit(address(2 + (n % 100) as u8)).unwrap()));
        assert_eq!(limiter.admit(address(250)).unwrap_err().code(), ErrorCode::Overloaded);
        drop(slots);
        assert!(limiter.counts.lock().unwrap().is_empty(), "closed connections leave no counters");
        assert!(limiter.admit(address(1)).is_ok());
    }
}
