//! A store that is away while the engine goes on writing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::wire::ArchiveState;
use tokio::time::sleep;

use super::live_log::LiveLog;
use super::{metrics, repository, restored, stopped};
use crate::faults::Faults;
use crate::place::PIECE_RAW_BYTES;
use crate::{Retention, start};

const INTERVAL: Duration = Duration::from_millis(20);
/// What is written meanwhile: 25 times what one piece has.
const WRITES: u64 = 400;
const WRITE_BYTES: usize = 64 << 10;
/// How much more memory the process may have then: what one piece needs while it is made, and nothing of the other
/// writes.
const GROWTH_MAX: usize = 8 * PIECE_RAW_BYTES;
/// A store that has returned is tried within a minute. The rest is for the steps themselves.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(100);

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_holds_up_no_write_and_no_memory_and_is_caught_up_with() {
    let directory = tempfile::tempdir().unwrap();
    let log = LiveLog::open(&directory.path().join("data"));
    let faults = Arc::new(Faults::default());
    let store = repository(&directory.path().join("store"), &faults);
    let retention = Retention { keep_last: 1, keep_days: 1 };
    let handle = start(store.clone(), log.handles.clone(), metrics(), (INTERVAL, retention), stopped());
    let text = "x".repeat(WRITE_BYTES);
    // Buffers that are made once.
    log.save(&text).await;
    while handle.status(log.head()).archived_seq == 0 {
        sleep(INTERVAL).await;
    }
    faults.go_away(true);
    let (calls, memory) = (faults.calls(), resident());
    let mut most = 0;
    for _ in 0..WRITES {
        log.save(&text).await;
        most = most.max(resident().saturating_sub(memory));
    }
    while handle.status(log.head()).state != ArchiveState::Failing {
        sleep(INTERVAL).await;
    }
    let status = handle.status(log.head());
    assert!(status.lag_events >= WRITES, "{status:?}");
    let calls = faults.calls() - calls;
    println!("{WRITES} writes of {WRITE_BYTES} bytes, {calls} calls, {most} bytes more in memory");
    assert!(most < GROWTH_MAX, "{most} bytes are held");
    assert!(calls < 50, "the store is tried again, and not flooded: {calls} calls");
    faults.go_away(false);
    let returned = Instant::now();
    while handle.status(log.head()).lag_events > 0 {
        assert!(returned.elapsed() < CAUGHT_UP_MAX, "{:?}", handle.status(log.head()));
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(restored(directory.path(), &store).await, log.head());
}
