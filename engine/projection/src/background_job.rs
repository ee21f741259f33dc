//! A background job: a thread that can be stopped and whose end is detected.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Stop flag of a job, checked between steps of a few milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A running job. Dropping it stops the thread and waits for it.
#[derive(Debug)]
pub(super) struct Job<T> {
    thread: Option<JoinHandle<T>>,
    pub(super) stop: Stop,
}

impl<T: Send + 'static> Job<T> {
    pub(super) fn start(name: &str, work: impl FnOnce(&Stop) -> T + Send + 'static) -> io::Result<Job<T>> {
        let stop = Stop::default();
        let own_stop = stop.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&own_stop))?;
        Ok(Job { thread: Some(thread), stop })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the result. `None` when the job panicked.
    pub(super) fn finish(mut self) -> Option<T> {
        self.thread.take()?.join().ok()
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic has already been reported.
            let _ended = thread.join();
        }
    }
}
