//! A log with a writer, as a running engine has it, that a test can write memories to and forget them.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use engine_core::event::Draft;
use engine_core::fold::Request;
use engine_core::forgetting::{Target, drafts};
use engine_core::request;
use engine_log::{
    AppliedKeys, Caller, Clock, Commit, LogContext, LogDirectory, LogHandles, LogMetrics, Receipt, Rotation,
    Writer, WriterCommand,
};
use serde_json::json;
use service::Registry;

/// How long a log may take to open. It takes milliseconds.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// Groups that may wait for a projection, which is not there.
const GROUPS_MAX: usize = 1 << 12;

/// A projection that knows no request.
pub(super) struct NoKeys;

impl AppliedKeys for NoKeys {
    fn applied_seq(&self) -> u64 {
        u64::MAX
    }

    fn find(&self, _: &str) -> Option<(u64, Option<Request>)> {
        Some((u64::MAX, None))
    }
}

pub(super) struct LiveLog {
    pub(super) handles: LogHandles,
    commands: Option<Sender<WriterCommand>>,
    threads: Vec<JoinHandle<()>>,
    _directory: LogDirectory,
}

impl LiveLog {
    pub(super) fn open(data: &Path) -> LiveLog {
        let directory = LogDirectory::lock(data).unwrap();
        let metrics = Arc::new(LogMetrics::new(&Registry::new(&[]).unwrap()).unwrap());
        let context = LogContext::new(directory.storage(), metrics, Clock::System, Rotation::default());
        let handles = LogHandles::new(context);
        let (applying, applied) = mpsc::sync_channel(GROUPS_MAX);
        let writer = Writer::new(handles.clone(), Arc::new(NoKeys), applying, None);
        let (commands, queue) = mpsc::channel();
        let writer = std::thread::spawn(move || {
            writer.run(&queue);
        });
        // Nothing is applied, and nothing is held.
        let drained = std::thread::spawn(move || applied.into_iter().for_each(drop));
        let started = std::time::Instant::now();
        while handles.context.published.head().is_none() {
            assert!(started.elapsed() < OPEN_MAX, "the log does not open");
            std::thread::sleep(Duration::from_millis(1));
        }
        let (commands, threads) = (Some(commands), vec![writer, drained]);
        LiveLog { handles, commands, threads, _directory: directory }
    }

    pub(super) fn head(&self) -> u64 {
        self.handles.context.published.head_seq()
    }

    /// Saves one memory; returns its id and number.
    pub(super) async fn save(&self, text: &str) -> Target {
        let memory = serde_json::from_value(json!({ "content": text })).unwrap();
        let receipt = self.commit(vec![request::memory(memory).unwrap()]).await;
        Target { seq: receipt.last_seq, id: receipt.id }
    }

    async fn commit(&self, drafts: Vec<Draft>) -> Receipt {
        let (reply, answer) = Caller::channel();
        self.send(WriterCommand::Commit(Commit { drafts, key: None, reply }));
        answer.await.unwrap().unwrap()
    }

    /// Records that memories are forgotten. Their payloads stay in the files, which only a keeper rewrites.
    pub(super) async fn forget(&self, targets: &[Target]) -> u64 {
        self.commit(drafts(targets, "asked for", "test")).await.last_seq
    }

    pub(super) async fn rotate(&self) {
        let (reply, answer) = Caller::channel();
        self.send(WriterCommand::Rotate(reply));
        answer.await.unwrap().unwrap();
    }

    fn send(&self, command: WriterCommand) {
        self.commands.as_ref().unwrap().send(command).unwrap();
    }
}

impl Drop for LiveLog {
    fn drop(&mut self) {
        drop(self.commands.take());
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}
