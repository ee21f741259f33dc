//! Fair scheduling of reads: no client gets all the processors, and memory is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::client_address::ClientAddress;

/// Maximum number of concurrent reads. More reads than processors would only need more memory.
const READS_MAX: usize = 8;
/// Minimum number of concurrent reads per address, so that a slow read does not block the next one.
const READS_PER_ADDRESS_MIN: usize = 2;

/// Permits ("turns") for concurrent reads. One address gets at most as many turns as there are processors. With more
/// turns, its reads would only compete with each other and delay other clients.
#[derive(Debug)]
pub(super) struct ReadTurns {
    all: Arc<Semaphore>,
    per_address: usize,
    waiting: Mutex<HashMap<ClientAddress, Arc<Semaphore>>>,
}

/// The turn of a read, released when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _own: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl ReadTurns {
    pub(super) fn new() -> ReadTurns {
        let processors = std::thread::available_parallelism().map_or(READS_PER_ADDRESS_MIN, usize::from);
        ReadTurns::of(processors.clamp(READS_PER_ADDRESS_MIN, READS_MAX))
    }

    fn of(per_address: usize) -> ReadTurns {
        ReadTurns { all: Arc::new(Semaphore::new(READS_MAX)), per_address, waiting: Mutex::default() }
    }

    /// Waits for a turn, first among the reads of the same address, then among all reads.
    pub(super) async fn take(&self, address: Option<ClientAddress>) -> Result<Turn, AcquireError> {
        let own = match address {
            Some(address) => Some(self.own(address).acquire_owned().await?),
            None => None,
        };
        Ok(Turn { _own: own, _of_all: Arc::clone(&self.all).acquire_owned().await? })
    }

    fn own(&self, address: ClientAddress) -> Arc<Semaphore> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = waiting.get(&address) {
            return Arc::clone(own);
        }
        // Addresses without a running read need no entry.
        waiting.retain(|_, own| Arc::strong_count(own) > 1);
        let own = Arc::new(Semaphore::new(self.per_address));
        waiting.insert(address, Arc::clone(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(last: u8) -> Option<ClientAddress> {
        Some(ClientAddress::new([10, 0, 0, last].into()))
    }

    #[tokio::test]
    async fn one_address_leaves_turns_for_another() {
        let turns = ReadTurns::of(2);
        let soon = |address| tokio::time::timeout(Duration::from_millis(20), turns.take(address));
        let first = soon(address(1)).await.unwrap().unwrap();
        let second = soon(address(1)).await.unwrap().unwrap();
        assert!(soon(address(1)).await.is_err(), "a third has to wait");
        let mut others = Vec::new();
        for other in [2, 2, 3, 3, 4, 4] {
            others.push(soon(address(other)).await.unwrap().unwrap());
        }
        assert!(soon(None).await.is_err(), "all turns are taken");
        drop((first, second));
        assert!(soon(address(1)).await.is_ok());
        drop(others);
        let _newcomer = soon(address(9)).await.unwrap().unwrap();
        assert_eq!(turns.waiting.lock().unwrap().len(), 1, "nothing is kept of who has gone");
    }
}
