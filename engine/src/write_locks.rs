//! Locks for writes that depend on the stored state.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Number of locks. Each object is hashed to one lock. Tasks for two objects with the same lock wait for each other
/// without need, which costs the time of one disk sync.
const LOCKS: usize = 256;

/// Locks that a task holds from reading some state until the write that depends on this state. Only one process writes
/// a log, so locks in memory are sufficient.
pub(crate) struct WriteLocks {
    /// Locks of commands. A task takes write locks while it holds one of these, so the two kinds must be separate.
    commands: Vec<Arc<Mutex<()>>>,
    writes: Vec<Arc<Mutex<()>>>,
}

impl WriteLocks {
    pub(crate) fn new() -> WriteLocks {
        let locks = || (0..LOCKS).map(|_| Arc::default()).collect();
        WriteLocks { commands: locks(), writes: locks() }
    }

    /// Takes the lock of a command that consists of several reads and writes. A task holds at most one command lock,
    /// and takes it before any write lock.
    pub(crate) async fn command(&self, thing: impl Hash) -> OwnedMutexGuard<()> {
        Arc::clone(&self.commands[place(thing)]).lock_owned().await
    }

    /// Takes the locks of all these objects. Dropping the guards releases the locks.
    pub(crate) async fn take<T: Hash>(
        &self,
        things: impl IntoIterator<Item = T>,
    ) -> Vec<OwnedMutexGuard<()>> {
        let mut places: Vec<usize> = things.into_iter().map(place).collect();
        // All tasks take locks in the same order, which prevents deadlocks between tasks. Each lock is taken only once,
        // which prevents a task from blocking itself.
        places.sort_unstable();
        places.dedup();
        let mut turns = Vec::with_capacity(places.len());
        for place in places {
            turns.push(Arc::clone(&self.writes[place]).lock_owned().await);
        }
        turns
    }
}

impl fmt::Debug for WriteLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteLocks").finish_non_exhaustive()
    }
}

fn place(thing: impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    usize::try_from(hasher.finish() % LOCKS as u64).expect("smaller than the number of locks")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Objects share locks, but a task must not block itself, and two tasks must not block each other.
    #[tokio::test]
    async fn nobody_waits_in_a_circle() {
        let turns = Arc::new(WriteLocks::new());
        let work = |project: u32| {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move {
                for n in 0..50 {
                    let _command = turns.command(project).await;
                    let _writes = turns.take((0..100).map(|m| m * 31 + n)).await;
                    tokio::task::yield_now().await;
                }
            })
        };
        let all: Vec<_> = (0..8).map(work).collect();
        for task in all {
            tokio::time::timeout(Duration::from_secs(20), task)
                .await
                .expect("they wait in a circle")
                .unwrap();
        }
    }

    #[tokio::test]
    async fn the_turn_for_a_thing_is_one_at_a_time() {
        let turns = WriteLocks::new();
        let held = turns.take(["a", "b"]).await;
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, turns.take(["b"])).await.is_err());
        drop(held);
        assert!(tokio::time::timeout(soon, turns.take(["b"])).await.is_ok());
    }
}
