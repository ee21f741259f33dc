//! Applies the policy to the questions of clients, and writes them to the volume.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use engine_core::rollout::kept_question::{NotKept, kept};
use engine_core::rollout::questions::Asked;
use engine_projection::is_project_empty;
use jiff::Timestamp;
use service::in_span;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Record;
use crate::engine::Engine;

/// Time between two writes of the file. The questions of this time are lost if the process is killed.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps the questions of clients until the process ends, if they are kept at all.
pub(crate) async fn keep_questions(engine: Arc<Engine>) {
    let Some(record) = engine.questions.0.clone() else { return };
    let Some(mut queue) = record.take_queue() else { return };
    let mut next_write = Instant::now() + WRITE_INTERVAL;
    loop {
        tokio::select! {
            asked = queue.recv() => match asked {
                Some(asked) => keep(&engine, &record, asked).await,
                None => return,
            },
            // What is to go does not wait, and neither does which canary the questions are asked.
            () = record.woken.notified() => next_write = Instant::now(),
            () = tokio::time::sleep_until(next_write) => {
                drop_forgotten(&engine, &record).await;
                let record = Arc::clone(&record);
                let _panicked = tokio::task::spawn_blocking(in_span(move || record.write())).await;
                next_write = Instant::now() + WRITE_INTERVAL;
            }
        }
    }
}

/// Keeps a question in the form that the policy allows.
async fn keep(engine: &Engine, record: &Record, Asked { query, at }: Asked) {
    let now = Timestamp::now();
    let judged = |key: Option<&_>| kept(&query, (engine.policy(), key), now);
    let judged = match judged(engine.known_pseudonym_key()) {
        Err(NotKept::NoKey) => match engine.pseudonym_key().await {
            Ok(key) => judged(Some(&key)),
            Err(_) => Err(NotKept::NoKey),
        },
        judged => judged,
    };
    match judged {
        Ok(query) => {
            let mut kept = record.kept();
            kept.questions.add(Asked { query, at });
            kept.is_changed = true;
        }
        Err(why) => tracing::debug!(?why, "a question is not recorded"),
    }
}

/// Removes the questions about projects that have no memories any more.
async fn drop_forgotten(engine: &Engine, record: &Record) {
    if !record.is_forgetting.swap(false, Ordering::AcqRel) {
        return;
    }
    let projects = record.kept().questions.projects();
    let read = move |connection: &_| {
        let if_empty = |project: String| {
            let is_empty = is_project_empty(connection, &project);
            is_empty.map(|is_empty| is_empty.then_some(project)).transpose()
        };
        projects.into_iter().filter_map(if_empty).collect()
    };
    let empty: Result<BTreeSet<String>, _> = engine.projection.read(0, read).await;
    match empty {
        Ok(empty) => {
            let mut kept = record.kept();
            kept.is_changed |= kept.questions.forget_projects(&empty);
        }
        Err(fault) => {
            tracing::warn!(%fault, "whether recorded questions are about a forgotten project is not known yet");
            record.is_forgetting.store(true, Ordering::Release);
        }
    }
}

impl Record {
    fn take_queue(&self) -> Option<mpsc::Receiver<Asked>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
