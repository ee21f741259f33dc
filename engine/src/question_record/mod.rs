//! The distinct searches of clients, kept on the volume if the configuration asks for it. A new
//! revision is asked them again in a rehearsal: `engine/src/canary`.
//!
//! Clients do not wait for it: what they ask goes into a bounded queue, and is dropped while that is full. [`keeper`]
//! applies the policy, and writes the file.

mod file;
mod keeper;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine_core::rollout::questions::{Asked, Bounds, Questions};
use engine_log::storage::Storage;
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};

use file::{QuestionFile, Stored};

pub(crate) use keeper::keep_questions;

/// Questions that wait for the policy. Each has a few kilobytes at most.
const QUEUE: usize = 256;

/// The record of questions, if one is kept.
#[derive(Debug)]
pub(crate) struct QuestionRecord(Option<Arc<Record>>);

#[derive(Debug)]
struct Record {
    file: QuestionFile,
    kept: Mutex<Kept>,
    /// Questions as they were asked, before the policy.
    offered: mpsc::Sender<Asked>,
    queue: Mutex<Option<mpsc::Receiver<Asked>>>,
    /// Whether something was forgotten since the questions were last compared with the projects.
    is_forgetting: AtomicBool,
    /// Wakes the task when something was forgotten.
    woken: Notify,
}

#[derive(Debug)]
struct Kept {
    questions: Questions,
    rehearsed: Option<String>,
    /// Whether the file lacks something of this.
    is_changed: bool,
}

impl QuestionRecord {
    /// Reads what was kept before. Without bounds nothing is kept, and what was kept before is removed.
    pub(crate) fn start(storage: Arc<dyn Storage>, bounds: Option<Bounds>) -> QuestionRecord {
        let file = QuestionFile::new(storage);
        let Some(bounds) = bounds else {
            file.remove();
            return QuestionRecord(None);
        };
        let Stored { rehearsed, questions } = file.read();
        let questions = Questions::new(bounds, questions, Timestamp::now());
        let (offered, queue) = mpsc::channel(QUEUE);
        QuestionRecord(Some(Arc::new(Record {
            file,
            kept: Mutex::new(Kept { questions, rehearsed, is_changed: true }),
            offered,
            queue: Mutex::new(Some(queue)),
            is_forgetting: AtomicBool::new(false),
            woken: Notify::new(),
        })))
    }

    /// Whether questions are kept.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Offers a question that was answered. It is dropped if too many wait.
    pub(crate) fn offer(&self, asked: Asked) {
        if let Some(record) = &self.0 {
            let _dropped = record.offered.try_send(asked);
        }
    }

    /// Tells the record of a forgetting, after which questions about a project without memories go.
    pub(crate) fn listener(&self) -> impl Fn(&[String]) + Send + Sync + 'static {
        let record = self.0.clone();
        move |_| {
            if let Some(record) = &record {
                record.is_forgetting.store(true, Ordering::Release);
                record.woken.notify_one();
            }
        }
    }

    /// The newest questions of the last `since_s` seconds for a canary; none if an earlier process has asked it.
    pub(crate) fn rehearsal(&self, canary: &str, newest: (u32, usize)) -> Vec<Asked> {
        let Some(record) = &self.0 else { return Vec::new() };
        let mut kept = record.kept();
        if kept.rehearsed.as_deref() == Some(canary) {
            return Vec::new();
        }
        kept.rehearsed = Some(canary.to_owned());
        kept.is_changed = true;
        record.woken.notify_one();
        kept.questions.newest(newest, Timestamp::now())
    }

    /// Forgets which canary was asked, after its grant was withdrawn: if it is judged again, it is asked again.
    pub(crate) fn forget_canary(&self) {
        if let Some(record) = &self.0 {
            let mut kept = record.kept();
            kept.is_changed |= kept.rehearsed.take().is_some();
        }
    }

    /// Writes what the file lacks, when the process ends.
    pub(crate) fn write_before_stop(&self) {
        if let Some(record) = &self.0 {
            record.write();
        }
    }
}

impl Record {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // No code panics half-way through a change while it holds the lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file, if it lacks something. What could not be written is written the next time.
    fn write(&self) {
        let stored = {
            let mut kept = self.kept();
            kept.is_changed |= kept.questions.expire(Timestamp::now());
            if !std::mem::take(&mut kept.is_changed) {
                return;
            }
            Stored { rehearsed: kept.rehearsed.clone(), questions: kept.questions.all() }
        };
        if let Err(fault) = self.file.write(&stored) {
            tracing::warn!(%fault, "the recorded questions could not be written");
            self.kept().is_changed = true;
        }
    }
}
