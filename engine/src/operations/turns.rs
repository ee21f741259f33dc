//! Turns of those who write what depends on what is there.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Locks for any number of things: two that share one wait for each other without need, which costs a sync.
const LOCKS: usize = 256;

/// Who looks at something and then writes what follows has the turn for it in between. One process writes a log, so nobody
/// else can come between either.
pub(crate) struct Turns(Vec<Arc<Mutex<()>>>);

impl Turns {
    pub(crate) fn new() -> Turns {
        Turns((0..LOCKS).map(|_| Arc::default()).collect())
    }

    /// Waits for the turn for all of these things; it ends when the answer is dropped.
    pub(super) async fn take<T: Hash>(
        &self,
        things: impl IntoIterator<Item = T>,
    ) -> Vec<OwnedMutexGuard<()>> {
        let place = |thing: T| {
            let mut hasher = DefaultHasher::new();
            thing.hash(&mut hasher);
            usize::try_from(hasher.finish() % LOCKS as u64).expect("smaller than the number of locks")
        };
        let mut places: Vec<usize> = things.into_iter().map(place).collect();
        // In one order, so that nobody waits in a circle; each once, so that nobody waits for himself.
        places.sort_unstable();
        places.dedup();
        let mut turns = Vec::with_capacity(places.len());
        for place in places {
            turns.push(Arc::clone(&self.0[place]).lock_owned().await);
        }
        turns
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}
