//! Locks for writes that depend on stored state.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Number of locks. Things are hashed to locks; two that share one wait for each other without need, which costs one
/// sync.
const LOCKS: usize = 256;

/// Locks that a task holds from its read of some state until its write that depends on it. Only one process writes a
/// log, so locks in memory are sufficient.
pub(crate) struct WriteLocks {
    /// Held while write locks are taken, so they are separate from those.
    commands: Vec<Arc<Mutex<()>>>,
    writes: Vec<Arc<Mutex<()>>>,
}

impl WriteLocks {
    pub(crate) fn new() -> WriteLocks {
        let locks = || (0..LOCKS).map(|_| Arc::default()).collect();
        WriteLocks { commands: locks(), writes: locks() }
    }

    /// Takes the lock of a command that consists of several reads and writes. A task holds at most one, and takes it
    /// before any write lock.
    pub(crate) async fn command(&self, thing: impl Hash) -> OwnedMutexGuard<()> {
        Arc::clone(&self.commands[place(thing)]).lock_owned().await
    }

    /// Takes the locks of all these things; they are released when the guards are dropped.
    pub(crate) async fn take<T: Hash>(
        &self,
        things: impl IntoIterator<Item = T>,
    ) -> Vec<OwnedMutexGuard<()>> {
        let mut places: Vec<usize> = things.into_iter().map(place).collect();
        // Locks are taken in one order, which prevents deadlocks between tasks, and each once, which prevents a task
        // from blocking itself.
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

    /// Things share locks: a task must not block itself, and two tasks must not block each other.
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
