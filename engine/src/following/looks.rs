//! The task of a standby that looks at the archive for what its copy lacks, again and again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_archive::{Continued, ReadError, with_jitter};
use engine_core::archive::continuation::CopyEnd;
use engine_core::archive::name::PieceName;
use engine_core::following::Broken;
use engine_log::{FollowError, WriteState};

use super::task::{is_continuable, note};
use super::{Following, Standby};
use crate::engine::Engine;

/// Pause after the first failure, and the longest one. The pause doubles with each failure.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at whether the copy is open, or whether reads see what was restored.
const NOTICE_INTERVAL: Duration = Duration::from_millis(50);

/// What came of a look.
enum Look {
    /// Lines were restored. There may be more.
    More,
    /// Everything in the archive is restored.
    Complete,
    Failed,
    /// The copy is thrown away, so that nothing more is restored into it.
    Left,
}

/// Follows the archive until the copy cannot be continued or the process ends.
pub(crate) async fn follow_archive(engine: Arc<Engine>, following: Arc<Following>) {
    let Some(standby) = following.standby() else { return };
    let mut pause = PAUSE_MIN;
    while !following.is_broken() {
        if engine.published.store() == WriteState::Opening {
            tokio::time::sleep(NOTICE_INTERVAL).await;
            continue;
        }
        match look(&engine, &following, standby).await {
            Look::More => pause = PAUSE_MIN,
            Look::Complete => {
                pause = PAUSE_MIN;
                wait(&engine, standby, with_jitter(standby.look_interval())).await;
            }
            Look::Failed => {
                // Half of it is random, so that standbys do not ask a store that has returned at the same moment.
                tokio::time::sleep(with_jitter(pause / 2)).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Look::Left => return,
        }
    }
}

/// Waits, and notes when reads see what was restored.
async fn wait(engine: &Engine, standby: &Standby, time: Duration) {
    let until = Instant::now() + time;
    while standby.know(|known, _| known.is_behind()) && Instant::now() < until {
        standby.applied(engine.projection.applied_seq());
        tokio::time::sleep(NOTICE_INTERVAL).await;
    }
    tokio::time::sleep_until(until.into()).await;
}

/// Looks once, and continues the copy with what is found.
async fn look(engine: &Arc<Engine>, following: &Following, standby: &Standby) -> Look {
    if !is_continuable(engine, following) {
        return Look::Failed;
    }
    let head = engine.published.head();
    let end = head.as_ref().map_or(CopyEnd::START, |head| CopyEnd { seq: head.seq, line: head.line });
    let looked = Instant::now();
    let found = standby.lines_after(head.map(|head| head.log_id), end).await;
    let Continued { lines, pieces, writer } = match found {
        Ok(found) => found,
        Err(fault) => return not_read(following, standby, &fault),
    };
    let (head_seq, has_lines) = (lines.head_seq, !lines.lines.is_empty());
    match engine.follow(lines).await {
        Ok(followed) => {
            note(engine, following, (looked, head_seq), followed);
            standby.looked(looked, has_lines, (end.seq, writer));
            if has_lines { Look::More } else { Look::Complete }
        }
        Err(FollowError::Broken(broken)) => {
            following.damaged(standby, &format!("{}: {broken}", named(&pieces, &broken)));
            Look::Failed
        }
        Err(fault @ FollowError::Damaged) => {
            following.break_chain("damaged", fault.to_string());
            Look::Failed
        }
        Err(fault @ FollowError::Unwritable(_)) => {
            following.failed("unwritable", fault.to_string());
            Look::Failed
        }
    }
}

fn not_read(following: &Following, standby: &Standby, fault: &ReadError) -> Look {
    match fault {
        ReadError::Damaged(_) | ReadError::Short { .. } => following.damaged(standby, &fault.to_string()),
        ReadError::Left(..) => match standby.leave(fault.to_string()) {
            Ok(()) => return Look::Left,
            Err(fault) => following.failed("unwritable", fault.to_string()),
        },
        ReadError::Store(_) | ReadError::Unread(_) | ReadError::NoLog(_) | ReadError::WhichLog(_) => {
            following.failed("store", fault.to_string());
        }
    }
    Look::Failed
}

/// The piece in which a line does not verify, or all that were read if that is not known.
fn named(pieces: &[PieceName], broken: &Broken) -> String {
    let seq = if let Broken::Line(breach) = broken { breach.seq } else { 0 };
    let has_it = |piece: &&PieceName| (piece.first_seq..=piece.last_seq).contains(&seq);
    match (pieces.iter().find(has_it), pieces) {
        (Some(piece), _) | (None, [piece]) => piece.to_string(),
        (None, [first, .., last]) => format!("{first} to {last}"),
        (None, []) => "the archive".to_owned(),
    }
}
