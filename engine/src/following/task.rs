//! The task that asks the engine that is followed for the lines after the end of the copy, again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_archive::with_jitter;
use engine_core::digest::Hash;
use engine_log::{FollowError, Followed, WriteState};

use super::Following;
use crate::engine::Engine;

/// Pause after the first failure, and the longest one. The pause doubles with each failure.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Time between two looks at whether the copy is open.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Follows until the chain is broken or the process ends.
pub(crate) async fn follow(engine: Arc<Engine>, following: Arc<Following>) {
    let mut pause = PAUSE_MIN;
    while !following.is_broken() {
        if engine.published.store() == WriteState::Opening {
            tokio::time::sleep(LOOK_INTERVAL).await;
        } else if step(&engine, &following).await {
            pause = PAUSE_MIN;
        } else {
            // Half of it is random, so that readers do not ask a writer that has returned at the same moment.
            tokio::time::sleep(with_jitter(pause / 2)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Asks once, and continues the copy with the answer. Returns whether that worked.
async fn step(engine: &Arc<Engine>, following: &Following) -> bool {
    if !is_continuable(engine, following) {
        return false;
    }
    let end = engine.published.head().map_or((0, Hash::ZERO), |head| (head.seq, head.line));
    let sent = Instant::now();
    let answer = match following.writer.lines_after(end).await {
        Ok(answer) => answer,
        Err((label, fault)) => {
            following.failed(label, fault);
            return false;
        }
    };
    let head_seq = answer.head_seq;
    match engine.follow(answer).await {
        Ok(followed) if followed.is_cut => {
            following.failed("cut", "the answer stops within a line or a batch".to_owned());
            false
        }
        Ok(followed) => {
            note(engine, following, (sent, head_seq), followed);
            true
        }
        Err(FollowError::Broken(broken)) => {
            following.break_chain(broken.label(), broken.to_string());
            false
        }
        Err(fault @ FollowError::Damaged) => {
            following.break_chain("damaged", fault.to_string());
            false
        }
        Err(fault @ FollowError::Unwritable(_)) => {
            following.failed("unwritable", fault.to_string());
            false
        }
    }
}

/// Whether the copy can be continued now.
pub(super) fn is_continuable(engine: &Engine, following: &Following) -> bool {
    if let Some(fault) = engine.published.fault() {
        following.break_chain("damaged", fault.message);
        return false;
    }
    if matches!(engine.published.store(), WriteState::Full | WriteState::Failing) {
        following.failed("unwritable", "the volume of this engine fails or is full".to_owned());
        return false;
    }
    true
}

/// Notes that the copy was continued with everything of an answer to a request that was sent at `sent`.
pub(super) fn note(
    engine: &Arc<Engine>,
    following: &Following,
    (sent, head_seq): (Instant, u64),
    followed: Followed,
) {
    following.answered(sent, head_seq, followed.lines);
    following.state().freshness.applied(engine.projection.applied_seq());
    if let Some((seq, ids)) = followed.forgotten {
        let engine = Arc::clone(engine);
        tokio::spawn(async move { engine.drop_forgotten(seq, &ids).await });
    }
}
