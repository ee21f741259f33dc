//! What is damaged is told apart from what cannot be read at the moment.

use std::path::Path;
use std::sync::Arc;

use engine_core::archive::cipher::WrappingKey;
use engine_log::Offline;

use super::{Silent, backup, repository, write};
use crate::faults::Faults;
use crate::{Repository, RestoreError, Restored, Wanted, restore};

async fn attempt(directory: &Path, store: &Repository, exactly: bool) -> Result<Restored, RestoreError> {
    let to = directory.join("restored");
    std::fs::create_dir_all(&to).unwrap();
    let wanted = Wanted { exactly, ..Wanted::default() };
    let outcome = restore(store, &to, &wanted, false, &Silent).await;
    std::fs::remove_dir_all(&to).unwrap();
    outcome
}

#[tokio::test]
async fn a_fault_of_the_store_ends_a_restore_and_a_check_and_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let faults = Arc::new(Faults::default());
    let store = repository(&at("store"), &faults);
    let mut log = Offline::open(&at("data")).unwrap();
    write(&mut log, 2);
    backup(&log, &store).await.unwrap();
    write(&mut log, 2);
    let taken = backup(&log, &store).await.unwrap();
    let folder = store.of_log(&taken.log_id).unwrap();
    let newest = folder.names().await.unwrap().backups().remove(0);
    let manifest = folder.manifest(&taken.log_id, &newest).await.unwrap();
    let last = manifest.piece_names().unwrap().pop().unwrap();
    let keys = manifest.volume_keys.unwrap().name;
    for name in [taken.name, last.to_string(), last.keys(), keys] {
        for exactly in [false, true] {
            faults.deny(Some(&name));
            let ended = attempt(directory.path(), &store, exactly).await;
            let is_named = |fault: &RestoreError| matches!(fault, RestoreError::Unread(object) if object.name == name && !object.is_damaged);
            assert!(ended.as_ref().is_err_and(is_named), "{name}: {ended:?}");
            faults.deny(None);
            assert_eq!(attempt(directory.path(), &store, exactly).await.unwrap().events, 4);
        }
    }
}

#[tokio::test]
async fn a_missing_or_wrong_key_encryption_key_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let Repository { pieces, keys, .. } = repository(&at("store"), &Arc::default());
    let with = |key: Option<u8>| {
        Repository::new(pieces.clone(), keys.clone(), key.map(|byte| WrappingKey([byte; 32])))
    };
    let mut log = Offline::open(&at("data")).unwrap();
    write(&mut log, 2);
    backup(&log, &with(Some(1))).await.unwrap();
    for wrong in [None, Some(2)] {
        let ended = attempt(directory.path(), &with(wrong), true).await;
        assert!(matches!(ended, Err(RestoreError::Unread(_))), "{wrong:?}: {ended:?}");
    }
    assert_eq!(attempt(directory.path(), &with(Some(1)), true).await.unwrap().events, 2);
}

#[tokio::test]
async fn a_check_is_about_the_newest_backup_and_unreadable_manifests_count_as_attempts() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let store = repository(&at("store"), &Arc::default());
    let mut log = Offline::open(&at("data")).unwrap();
    let mut newest_first = Vec::new();
    for _ in 0..5 {
        write(&mut log, 1);
        let taken = backup(&log, &store).await.unwrap();
        newest_first.insert(0, taken.name);
    }
    let log_id = store.logs().await.unwrap().remove(0);
    let folder = store.of_log(&log_id).unwrap();
    for damaged in 1..=4 {
        folder.pieces.put(&newest_first[damaged - 1], b"{}").await.unwrap();
        let checked = attempt(directory.path(), &store, true).await;
        let Err(RestoreError::Damaged(bad)) = checked else { panic!("{damaged}: {checked:?}") };
        assert_eq!((bad.len(), &bad[0].name), (1, &newest_first[0]), "the check reads no older backup");
        let restored = attempt(directory.path(), &store, false).await;
        if damaged < 3 {
            let restored = restored.unwrap();
            assert_eq!((&restored.backup, restored.damaged.len()), (&newest_first[damaged], damaged));
        } else {
            let Err(RestoreError::Damaged(bad)) = restored else { panic!("{damaged}: {restored:?}") };
            assert_eq!(bad.len(), 3);
        }
    }
}
