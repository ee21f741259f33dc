//! Requests to an archive that is slow, fails, or is being written to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::archive::name::ManifestName;
use engine_core::wire::ArchiveState;
use jiff::Timestamp;

use super::live_log::LiveLog;
use super::{Silent, metrics, repository, stopped};
use crate::faults::Faults;
use crate::{Archive, ArchiveHandle, Repository, RestoreError, Retention, Until, Wanted, restore, start};

/// How long a task may take to begin. It takes milliseconds.
const BEGIN_MAX: Duration = Duration::from_secs(10);
/// A step is due after this time only, so that each test has the steps that it causes.
const INTERVAL: Duration = Duration::from_secs(3_600);
const RETENTION: Retention = Retention { keep_last: 9, keep_days: 9 };

fn started(store: &Repository, log: &LiveLog) -> ArchiveHandle {
    start(store.clone(), log.handles.clone(), metrics(), (INTERVAL, RETENTION), stopped())
}

#[tokio::test]
async fn a_backup_has_what_was_durable_when_it_was_asked_for_if_a_segment_is_sealed_during_the_read() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let log = LiveLog::open(&at("data"));
    for text in ["the first", "the second"] {
        log.save(text).await;
    }
    let store = repository(&at("store"), &Arc::default());
    let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    archive.pauses = Faults::paused(0);
    let pauses = Arc::clone(&archive.pauses);
    let taking = tokio::spawn(async move { archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await });
    pauses.wait().await;
    log.rotate().await;
    pauses.resume();
    assert_eq!(taking.await.unwrap().unwrap().size, 2);
}

#[tokio::test]
async fn requests_do_not_make_a_store_that_fails_busy() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let log = LiveLog::open(&at("data"));
    log.save("the first").await;
    let faults = Faults::killed(0);
    let handle = started(&repository(&at("store"), &faults), &log);
    let begun = Instant::now();
    while handle.status(log.head()).state != ArchiveState::Failing {
        assert!(begun.elapsed() < BEGIN_MAX, "the store fails");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = faults.calls();
    for _ in 0..100 {
        let refused = handle.backup(None, None).await.unwrap_err();
        assert!(refused.contains("does not permit") && refused.contains("tried again"), "{refused}");
    }
    let calls = faults.calls() - before;
    assert!(calls < 50, "at most a few attempts that were due: {calls} calls for 100 requests");
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_takes_no_backup() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let log = LiveLog::open(&at("data"));
    log.save("the first").await;
    let faults = Faults::paused(0);
    let store = repository(&at("store"), &faults);
    let handle = started(&store, &log);
    faults.wait().await;
    for _ in 0..3 {
        let gone = handle.backup(None, None);
        assert!(tokio::time::timeout(Duration::from_millis(5), gone).await.is_err(), "the store is slow");
    }
    faults.resume();
    let taken = handle.backup(Some("asked".to_owned()), None).await.unwrap();
    let names = store.of_log(&taken.log_id).unwrap().names().await.unwrap();
    assert_eq!(names.backups().len(), 2, "the first one of the engine, and the one that was asked for");
}

/// Without a verified backup to keep nobody knows whether the newer ones restore.
#[tokio::test]
async fn nothing_is_removed_unless_the_request_says_what_stays() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let log = LiveLog::open(&at("data"));
    let store = repository(&at("store"), &Arc::default());
    let at_most = Retention { keep_last: 1, keep_days: 0 };
    let handle = start(store.clone(), log.handles.clone(), metrics(), (INTERVAL, at_most), stopped());
    let mut taken = Vec::new();
    for text in ["the first", "the second", "the third"] {
        log.save(text).await;
        taken.push(handle.backup(Some(text.replace(' ', "-")), None).await.unwrap());
    }
    assert!(taken.iter().all(|one| one.pruned.is_none() && one.expires == Some(one.created)), "{taken:?}");
    let names = async || store.of_log(&taken[0].log_id).unwrap().names().await.unwrap().backups();
    let is_there = async |name: &str| names().await.iter().any(|one| one.to_string() == name);
    for one in &taken {
        assert!(is_there(&one.name).await, "{}", one.name);
    }
    log.save("the fourth").await;
    let keep = vec![ManifestName::parse(&taken[0].name).unwrap()];
    let last = handle.backup(Some("last".to_owned()), Some(keep)).await.unwrap();
    let pruned = last.pruned.unwrap();
    assert!(pruned.skipped.is_none() && pruned.backups.contains(&taken[1].name), "{pruned:?}");
    assert!(is_there(&taken[0].name).await && is_there(&last.name).await);
    assert!(!is_there(&taken[1].name).await && !is_there(&taken[2].name).await);
}

#[tokio::test]
async fn a_request_that_stays_in_a_manifest_does_not_leave_newer_events_behind_again() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let back = Wanted { until: Some(Until::Event(1)), once: Some("request".to_owned()), ..Wanted::default() };
    let log = LiveLog::open(&at("data"));
    for text in ["the first", "a mistake"] {
        log.save(text).await;
    }
    let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    drop(log);
    let restored = restore(&store, &at("restored"), &back, true, &Silent).await.unwrap();
    assert_eq!(restored.events, 1);
    let log = LiveLog::open(&at("restored"));
    log.save("recorded since").await;
    let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    // The volume is lost here, and the same manifest is applied again.
    let refused = restore(&store, &at("again"), &back, true, &Silent).await;
    assert!(matches!(refused, Err(RestoreError::Repeated { seq: 1, archived: 3 })), "{refused:?}");
    let everything = Wanted { until: None, ..back.clone() };
    assert_eq!(restore(&store, &at("all"), &everything, true, &Silent).await.unwrap().events, 3);
    let on_purpose = Wanted { once: None, ..back };
    assert_eq!(restore(&store, &at("purpose"), &on_purpose, true, &Silent).await.unwrap().events, 1);
}
