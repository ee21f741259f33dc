//! Work beside the projector: one thread that can be told to stop, and whose end is noticed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Whether the work is to end early. Looked at between steps that take milliseconds.
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

/// A piece of work under way. Dropped, it is told to stop and waited for.
#[derive(Debug)]
pub(super) struct Job<T> {
    thread: Option<JoinHandle<T>>,
    pub(super) stop: Stop,
}

impl<T: Send + 'static> Job<T> {
    pub(super) fn start(name: &str, work: impl FnOnce(&Stop) -> T + Send + 'static) -> io::Result<Job<T>> {
        let stop = Stop::default();
        let told = stop.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&told))?;
        Ok(Job { thread: Some(thread), stop })
    }

    pub(super) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Its result; absent when it panicked.
    pub(super) fn finish(mut self) -> Option<T> {
        self.thread.take()?.join().ok()
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            // A panic of the work was reported by the thread itself.
            let _ended = thread.join();
        }
    }
}
