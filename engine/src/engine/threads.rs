//! The threads of an engine that own its log and its projection.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use engine_log::{CommitError, DurableGroup, Follower, Keeper, Writer, WriterCommand};
use engine_projection::Projector;

/// Maximum number of requests in the queue of the writer. If the disk syncs in a millisecond, the writer processes all
/// of them in less than a second.
const QUEUE_MAX: usize = 1024;
/// Maximum number of durable groups that wait for the projection: enough to keep the writer and the projector busy.
const APPLYING_MAX: usize = 16;

/// The threads: the writer of the log, the keeper of its files, and the projector.
#[derive(Debug)]
pub(super) struct Threads {
    queue: Mutex<Option<SyncSender<WriterCommand>>>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    keeper: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

/// The thread that owns the log.
#[derive(Debug)]
pub(super) enum LogThread {
    /// It writes events.
    Writer(Box<Writer>),
    /// It continues a copy.
    Follower(Follower),
}

impl LogThread {
    fn run(self, queue: &Receiver<WriterCommand>) {
        match self {
            LogThread::Writer(writer) => writer.run(queue),
            LogThread::Follower(follower) => follower.run(queue),
        }
    }
}

/// The channel from the writer to the projection.
pub(super) fn applying() -> (SyncSender<DurableGroup>, Receiver<DurableGroup>) {
    mpsc::sync_channel(APPLYING_MAX)
}

impl Threads {
    /// Starts the threads. They open the log and the projection.
    ///
    /// # Errors
    /// The operating system refuses to start a thread.
    pub(super) fn start(
        log: LogThread,
        keeper: Keeper,
        projector: Projector,
        to_apply: Receiver<DurableGroup>,
    ) -> io::Result<Threads> {
        let (queue, queued) = mpsc::sync_channel(QUEUE_MAX);
        let (wake_keeper, woken) = mpsc::sync_channel(1);
        let workers = vec![
            spawn("log", move || log.run(&queued))?,
            spawn("projection", move || projector.run(&to_apply))?,
        ];
        let keeper = spawn("keeper", move || keeper.run(&woken))?;
        Ok(Threads {
            queue: Mutex::new(Some(queue)),
            workers: Mutex::new(workers),
            keeper: Mutex::new(Some((wake_keeper, keeper))),
        })
    }

    /// Puts a command into the writer's queue.
    ///
    /// # Errors
    /// The queue is full, or the engine is stopping.
    pub(super) fn send(&self, order: WriterCommand) -> Result<(), CommitError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(CommitError::Stopping)?;
        queue.try_send(order).map_err(|fault| match fault {
            TrySendError::Full(_) => CommitError::Overloaded,
            TrySendError::Disconnected(_) => CommitError::Stopping,
        })
    }

    /// Makes the keeper thread check for work now.
    pub(super) fn wake_keeper(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((wake, _)) = &*keeper {
            // If the channel is full, the keeper will check soon anyway.
            let _woken = wake.try_send(());
        }
    }

    /// Closes the queue. The writer then finishes the queued commands and ends, and the projector ends after it.
    pub(super) fn close_queue(&self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until all threads have ended.
    pub(super) fn join(&self) {
        for thread in self.workers.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine panicked");
            }
        }
        // The keeper ends last, because it writes a checkpoint of everything that the other threads did.
        if let Some((wake, keeper)) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(wake);
            if keeper.join().is_err() {
                tracing::error!("the keeper thread panicked");
            }
        }
    }

    /// Whether all threads are running.
    pub(super) fn are_alive(&self) -> bool {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        !workers.iter().chain(keeper.as_ref().map(|(_, thread)| thread)).any(JoinHandle::is_finished)
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(work)
}
