//! Compares a standby with the writer, again and again: the root of the log at the last event that is restored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::following::standby::OwnLog;
use engine_log::WriteState;
use jiff::Timestamp;

use super::{Following, Standby};
use crate::engine::Engine;

/// Time between two comparisons.
const INTERVAL: Duration = Duration::from_secs(10);
/// The same until the first one: a standby that has just started has nothing to compare yet.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two looks at whether the copy is open.
const OPEN_INTERVAL: Duration = Duration::from_millis(50);

/// Compares every ten seconds, until the process ends.
pub(crate) async fn compare_with_writer(engine: Arc<Engine>, following: Arc<Following>) {
    let Some(standby) = following.standby() else { return };
    loop {
        // Until then nobody knows what is restored.
        while engine.published.store() == WriteState::Opening {
            tokio::time::sleep(OPEN_INTERVAL).await;
        }
        compare_once(&engine, &following, standby).await;
        let is_compared = standby.know(|known, _| known.is_compared());
        tokio::time::sleep(if is_compared { INTERVAL } else { FIRST_INTERVAL }).await;
    }
}

async fn compare_once(engine: &Engine, following: &Following, standby: &Standby) {
    let own = own_log(engine);
    let sent = Instant::now();
    let theirs = match following.writer().root(own.size).await {
        Ok(theirs) => theirs,
        Err(fault) => {
            standby.know(|known, _| known.not_compared(fault));
            return;
        }
    };
    standby.writer_has(&theirs.log_id);
    let other_rows = following.checks(|checks| checks.is_different());
    standby.know(|known, now| {
        let asked = now.saturating_sub(sent.elapsed());
        let found = known.compared((&own, &theirs), other_rows, asked, Timestamp::now());
        if let Some(different) = found {
            let (reason, size) = (&different.reason, different.size);
            tracing::error!(
                reason,
                size,
                "what is restored from the archive is not the writer's log: {}",
                different.message
            );
        }
    });
}

/// What this engine has of the log. The tree has exactly the events that are durable.
fn own_log(engine: &Engine) -> OwnLog {
    let log_id = engine.published.head().map(|head| head.log_id).unwrap_or_default();
    let (size, root) = engine.log_handles.context.tree.head();
    OwnLog { log_id, size, root: root.to_string() }
}
