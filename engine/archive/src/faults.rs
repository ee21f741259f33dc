//! Calls of a store that fail, for tests.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

/// Which calls of a store fail.
#[derive(Debug)]
pub(crate) struct Faults {
    calls: AtomicU64,
    /// From this call on, every call fails before it does anything: the process was killed there.
    killed_at: AtomicI64,
    /// The answer to this call is lost after it was carried out.
    lost_at: AtomicI64,
    /// This call waits until it is let go.
    paused_at: AtomicI64,
    reached: Semaphore,
    resumed: Semaphore,
    /// Reads of objects with this text in their name are not permitted.
    denied: Mutex<Option<String>>,
    /// Objects with this text in their name are locked: they cannot be removed.
    locked: Mutex<Option<String>>,
    /// Nothing is answered.
    away: AtomicBool,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            calls: AtomicU64::new(0),
            killed_at: AtomicI64::new(-1),
            lost_at: AtomicI64::new(-1),
            paused_at: AtomicI64::new(-1),
            reached: Semaphore::new(0),
            resumed: Semaphore::new(0),
            denied: Mutex::new(None),
            locked: Mutex::new(None),
            away: AtomicBool::new(false),
        }
    }
}

impl Faults {
    pub(crate) fn killed(call: i64) -> Arc<Faults> {
        Arc::new(Faults { killed_at: AtomicI64::new(call), ..Faults::default() })
    }

    pub(crate) fn lost(call: i64) -> Arc<Faults> {
        Arc::new(Faults { lost_at: AtomicI64::new(call), ..Faults::default() })
    }

    pub(crate) fn paused(call: i64) -> Arc<Faults> {
        Arc::new(Faults { paused_at: AtomicI64::new(call), ..Faults::default() })
    }

    /// From now on reads of objects with this text in their name are not permitted.
    pub(crate) fn deny(&self, name: Option<&str>) {
        *self.denied.lock().unwrap() = name.map(str::to_owned);
    }

    pub(crate) fn denies(&self, name: &str) -> bool {
        self.denied.lock().unwrap().as_ref().is_some_and(|denied| name.contains(denied))
    }

    /// From now on objects with this text in their name cannot be removed.
    pub(crate) fn lock(&self, name: Option<&str>) {
        *self.locked.lock().unwrap() = name.map(str::to_owned);
    }

    pub(crate) fn locks(&self, name: &str) -> bool {
        self.locked.lock().unwrap().as_ref().is_some_and(|locked| name.contains(locked))
    }

    /// From now on every call fails, or none.
    pub(crate) fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Number of calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Waits until the call at which this pauses begins.
    pub(crate) async fn wait(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets the call go on.
    pub(crate) fn resume(&self) {
        self.resumed.add_permits(1);
    }

    /// Whether the call that begins now fails before it does anything.
    pub(crate) async fn before(&self) -> bool {
        let call = i64::try_from(self.calls.fetch_add(1, Ordering::SeqCst)).unwrap();
        if self.paused_at.load(Ordering::SeqCst) == call {
            self.reached.add_permits(1);
            self.resumed.acquire().await.unwrap().forget();
        }
        let killed_at = self.killed_at.load(Ordering::SeqCst);
        self.away.load(Ordering::SeqCst) || killed_at >= 0 && call >= killed_at
    }

    /// Whether the answer to the call that was just carried out is lost.
    pub(crate) fn after(&self) -> bool {
        let call = i64::try_from(self.calls.load(Ordering::SeqCst)).unwrap() - 1;
        self.lost_at.load(Ordering::SeqCst) == call
    }

    pub(crate) fn reached(&self) -> bool {
        let last = self.killed_at.load(Ordering::SeqCst).max(self.lost_at.load(Ordering::SeqCst));
        let last = last.max(self.paused_at.load(Ordering::SeqCst));
        i64::try_from(self.calls.load(Ordering::SeqCst)).unwrap() > last
    }
}
