//! WriteLocks of those who write what depends on what is there.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks for any number of things: two that share one wait for each other without need, which costs a sync.
const LOCKS: usize = 256;

/// Who looks at something and then writes what follows has the turn for it in between. One process writes a log, so
/// nobody else can come between either.
pub(crate) struct WriteLocks {
    /// Held while others are taken, so they are never among those.
    commands: Vec<Arc<Mutex<()>>>,
    writes: Vec<Arc<Mutex<()>>>,
}

impl WriteLocks {
    pub(crate) fn new() -> WriteLocks {
        let locks = || (0..LOCKS).map(|_| Arc::default()).collect();
        WriteLocks { commands: locks(), writes: locks() }
    }

    /// Waits for the turn of a command that is made of several reads and writes. One at a time, and before any other
    /// turn.
    pub(crate) async fn command(&self, thing: impl Hash) -> OwnedMutexGuard<()> {
        Arc::clone(&self.commands[place(thing)]).lock_owned().await
    }

    /// Waits for the turn for all of these things; it ends when the answer is dropped.
    pub(crate) async fn take<T: Hash>(
        &self,
        things: impl IntoIterator<Item = T>,
    ) -> Vec<OwnedMutexGuard<()>> {
        let mut places: Vec<usize> = things.into_iter().map(place).collect();
        // In one order, so that nobody waits in a circle; each once, so that nobody waits for himself.
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

    /// Things share locks: nobody may wait for himself, nor two for each other.
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
