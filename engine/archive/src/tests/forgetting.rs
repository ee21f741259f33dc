//! What is forgotten cannot be read from an archive, whoever writes to it.

use std::sync::Arc;

use engine_core::archive::cipher::WrappingKey;
use engine_core::archive::key_table::Row;
use engine_core::archive::name::Extent;
use jiff::Timestamp;

use super::live_log::LiveLog;
use super::{Silent, metrics, repository, restored, stopped};
use crate::{Archive, Repository, RestoreError, Wanted, forget_check, restore};

/// How many keys there are of the event with this number, in all tables.
async fn keys_of(store: &Repository, log_id: &str, seq: u64) -> usize {
    let log = store.of_log(log_id).unwrap();
    let mut found = 0;
    for name in log.names().await.unwrap().piece_names() {
        let table = log.table(&name.sha256, &name.keys()).await.unwrap();
        let place =
            seq.checked_sub(name.first_seq).and_then(|place| table.rows.get(usize::try_from(place).unwrap()));
        found += usize::from(matches!(place, Some(Row::Key(_))));
    }
    found
}

#[tokio::test]
async fn a_key_is_removed_only_when_the_event_that_says_why_is_archived() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    let first = log.save("the first").await;
    log.rotate().await;
    log.save("the second").await;
    let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    log.forget(&[first]).await;
    // The volume is lost here: the archive has the payload, and no event says that it was forgotten.
    archive.forget().await.unwrap();
    assert_eq!(restored(directory.path(), &store).await, 2);
    while archive.ship_piece().await.unwrap() {}
    archive.forget().await.unwrap();
    assert_eq!(archive.forgotten_seq, log.head());
    let to = at("all");
    let all = restore(&store, &to, &Wanted::default(), false, &Silent).await.unwrap();
    assert_eq!((all.forgotten, all.events), (1, 3));
}

/// The keeper erases a payload from the files some time after the archive has removed its key. A segment that is
/// archived in between has the payload.
#[tokio::test]
async fn a_segment_that_is_archived_before_its_files_are_erased_gets_no_key_of_what_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    let first = log.save("the first").await;
    log.save("the second").await;
    let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    let taken = archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(keys_of(&store, &taken.log_id, 1).await, 1);
    log.forget(&[first]).await;
    archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(keys_of(&store, &taken.log_id, 1).await, 0);
    log.rotate().await;
    log.save("the third").await;
    while archive.ship_piece().await.unwrap() {}
    let names = store.of_log(&taken.log_id).unwrap().names().await.unwrap().piece_names();
    assert!(names.iter().any(|name| name.extent == Extent::Segment), "{names:?}");
    assert_eq!(keys_of(&store, &taken.log_id, 1).await, 0);
    let check = forget_check(&store, &taken.log_id).await.unwrap();
    assert_eq!((check.ok, check.forgotten, check.left, check.events), (true, 1, 0, 4), "{check:?}");
}

#[tokio::test]
async fn a_key_that_a_writer_with_a_successor_stores_again_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    let first = log.save("the first").await;
    let mut old = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    let taken = old.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    let folder = store.of_log(&taken.log_id).unwrap();
    let name = folder.names().await.unwrap().piece_names().remove(0);
    // The writer before has read this table, and writes it when its successor has removed the key.
    let late = folder.table(&name.sha256, &name.keys()).await.unwrap();
    log.save("the second").await;
    log.rotate().await;
    let mut new = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    log.forget(&[first]).await;
    new.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(keys_of(&store, &taken.log_id, 1).await, 0);
    folder.put_table(&name.keys(), &late, false).await.unwrap();
    // It also stores a piece, as its files still have the payload.
    assert!(old.ship_piece().await.unwrap());
    let left = keys_of(&store, &taken.log_id, 1).await;
    let check = forget_check(&store, &taken.log_id).await.unwrap();
    assert_eq!((left, check.ok, check.left), (2, false, 2), "{check:?}");
    assert!(check.behind.iter().all(|key| key.seq == 1 && key.table.starts_with("keys/")), "{check:?}");
    new.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(keys_of(&store, &taken.log_id, 1).await, 0);
    assert!(forget_check(&store, &taken.log_id).await.unwrap().ok);
    // A writer that starts looks as well.
    folder.put_table(&name.keys(), &late, false).await.unwrap();
    Archive::open(&store, &log.handles, metrics()).await.unwrap();
    assert_eq!(keys_of(&store, &taken.log_id, 1).await, 0);
}

#[tokio::test]
async fn a_writer_with_a_successor_removes_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    let first = log.save("the first").await;
    let mut old = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    let taken = old.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    let _new = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    log.forget(&[first]).await;
    while old.ship_piece().await.unwrap() {}
    let refused = old.forget().await;
    assert!(refused.is_err(), "what it has forgotten may be of a branch that the log has left");
    assert_eq!(keys_of(&store, &taken.log_id, 1).await, 1);
    assert_eq!(restored(directory.path(), &store).await, 1);
}

#[tokio::test]
async fn a_check_that_restores_further_has_the_root_at_the_backup() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    let first = log.save("the first").await;
    log.save("the second").await;
    let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    let taken = archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    log.forget(&[first]).await;
    while archive.ship_piece().await.unwrap() {}
    archive.forget().await.unwrap();
    let wanted = Wanted { exactly: true, ..Wanted::default() };
    let checked = restore(&store, &at("checked"), &wanted, false, &Silent).await.unwrap();
    assert_eq!((checked.events, checked.backup_size), (3, 2), "the event that forgot is after the backup");
    let backup_root = checked.backup_root.unwrap().to_string();
    assert_eq!(backup_root, taken.root);
    assert_ne!(backup_root, checked.root.to_string());
}

#[tokio::test]
async fn an_event_that_forgot_something_else_does_not_explain_a_missing_payload() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    let first = log.save("the first").await;
    log.save("the second").await;
    log.forget(&[first]).await;
    let mut archive = Archive::open(&store, &log.handles, metrics()).await.unwrap();
    let taken = archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    let all = Wanted::default();
    assert_eq!(restore(&store, &at("before"), &all, false, &Silent).await.unwrap().forgotten, 1);
    let folder = store.of_log(&taken.log_id).unwrap();
    let name = folder.names().await.unwrap().piece_names().remove(0);
    let mut table = folder.table(&name.sha256, &name.keys()).await.unwrap();
    // Somebody who can write to the store names the event that is there for another payload.
    table.rows[1] = table.rows[0].clone();
    assert!(matches!(table.rows[1], Row::Forgotten(_)), "{:?}", table.rows);
    folder.put_table(&name.keys(), &table, false).await.unwrap();
    let refused = restore(&store, &at("after"), &all, false, &Silent).await;
    let Err(RestoreError::Damaged(bad)) = refused else { panic!("{refused:?}") };
    assert!(bad[0].name == name.keys() && bad[0].why.contains("event 2"), "{bad:?}");
}

#[tokio::test]
async fn tables_without_encryption_are_not_restored_with_a_key_and_still_forget() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let plain = repository(&at("store"), &Arc::default());
    let log = LiveLog::open(&at("data"));
    let first = log.save("the first").await;
    let mut archive = Archive::open(&plain, &log.handles, metrics()).await.unwrap();
    let taken = archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    let key = Some(WrappingKey([7; 32]));
    let encrypted = Repository::new(plain.pieces.clone(), plain.keys.clone(), key);
    let refused = restore(&encrypted, &at("restored"), &Wanted::default(), false, &Silent).await;
    let Err(RestoreError::Damaged(bad)) = refused else { panic!("{refused:?}") };
    assert!(bad[0].why.contains("not encrypted"), "{bad:?}");
    let name = plain.of_log(&taken.log_id).unwrap().names().await.unwrap().piece_names().remove(0);
    let mut archive = Archive::open(&encrypted, &log.handles, metrics()).await.unwrap();
    log.forget(&[first]).await;
    archive.backup(&stopped(), Timestamp::UNIX_EPOCH).await.unwrap();
    let table = plain.of_log(&taken.log_id).unwrap().table(&name.sha256, &name.keys()).await.unwrap();
    assert!(matches!(table.rows[0], Row::Forgotten(_)), "{table:?}");
    let check = forget_check(&encrypted, &taken.log_id).await.unwrap();
    assert_eq!((check.ok, check.forgotten), (true, 1), "{check:?}");
}
