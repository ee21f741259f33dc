//! A store that is away for an hour. The time of the archive is simulated: its waits take none.

use std::sync::Arc;
use std::time::Duration;

use engine_core::wire::ArchiveState;
use tokio::time::{Instant, sleep};

use super::live_log::LiveLog;
use super::{metrics, repository, restored, stopped};
use crate::faults::Faults;
use crate::place::PIECE_RAW_BYTES;
use crate::{Retention, start};

const AWAY: Duration = Duration::from_secs(3_600);
/// The default interval of an archive.
const INTERVAL: Duration = Duration::from_secs(10);
/// The length of a write. There is one in each interval, so that an hour has twenty times what one piece has.
const WRITE_BYTES: usize = 64 << 10;
/// How much more memory the process may have after that hour: what one piece needs while it is made, and nothing of the
/// other writes.
const GROWTH_MAX: usize = 8 * PIECE_RAW_BYTES;
/// A store that has returned is tried within a minute. The rest is for the steps themselves.
const CAUGHT_UP_MAX: Duration = Duration::from_secs(120);

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_an_hour_holds_up_no_write_and_no_memory_and_is_caught_up_with() {
    let directory = tempfile::tempdir().unwrap();
    let log = LiveLog::open(&directory.path().join("data"));
    let faults = Arc::new(Faults::default());
    let store = repository(&directory.path().join("store"), &faults);
    let retention = Retention { keep_last: 1, keep_days: 1 };
    let handle = start(store.clone(), log.handles.clone(), metrics(), (INTERVAL, retention), stopped());
    log.save("the first").await;
    while handle.status(log.head()).archived_seq == 0 {
        sleep(INTERVAL).await;
    }
    faults.go_away(true);
    let text = "x".repeat(WRITE_BYTES);
    // Buffers that are made once.
    log.save(&text).await;
    let (begun, calls, memory) = (Instant::now(), faults.calls(), resident());
    let (mut writes, mut most) = (0_u64, 0);
    while begun.elapsed() < AWAY {
        log.save(&text).await;
        writes += 1;
        most = most.max(resident().saturating_sub(memory));
        sleep(INTERVAL).await;
    }
    let status = handle.status(log.head());
    assert_eq!(status.state, ArchiveState::Failing, "{status:?}");
    assert_eq!(status.lag_events, writes + 1, "{status:?}");
    let calls = faults.calls() - calls;
    println!("{writes} writes of {WRITE_BYTES} bytes, {calls} calls, {most} bytes more in memory");
    assert!(writes * WRITE_BYTES as u64 > 2 * GROWTH_MAX as u64, "they would be seen: {writes}");
    assert!(most < GROWTH_MAX, "{most} bytes are held");
    assert!((30..1_000).contains(&calls), "the store is tried again, and not flooded: {calls} calls");
    faults.go_away(false);
    let returned = Instant::now();
    while handle.status(log.head()).lag_events > 0 {
        assert!(returned.elapsed() < CAUGHT_UP_MAX, "{:?}", handle.status(log.head()));
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(restored(directory.path(), &store).await, log.head());
}
