//! The projection is disposable: whatever happens to it, the log brings it back.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::process::{Running, binary, eventually};

fn database(data: &Path) -> PathBuf {
    data.join("projection/memories.sqlite")
}

/// Saves some memories, stops, does something to the projection, starts, and finds them all.
fn check_survives(harm: impl FnOnce(&Path)) {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..20 {
        engine.save(&format!("memory number {n} {}", "filler ".repeat(200)));
    }
    assert!(engine.terminate().success());
    harm(data.path());
    let engine = Running::start(data.path());
    assert_eq!(engine.total("q=memory+number"), 20);
    let health = engine.health();
    assert_eq!((&health["projection"]["applied_seq"], &health["projection"]["lag"]), (&json!(20), &json!(0)));
    assert_eq!(engine.save("one more").json()["seq"], 21);
    assert_eq!(engine.total(""), 21);
}

fn execute(data: &Path, sql: &str) {
    rusqlite::Connection::open(database(data)).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn removed() {
    check_survives(|data| fs::remove_dir_all(data.join("projection")).unwrap());
}

#[test]
fn emptied() {
    check_survives(|data| fs::write(database(data), "").unwrap());
}

#[test]
fn overwritten() {
    check_survives(|data| fs::write(database(data), "no database at all ".repeat(1000)).unwrap());
}

#[test]
fn cut_in_half() {
    check_survives(|data| {
        let bytes = fs::read(database(data)).unwrap();
        fs::write(database(data), &bytes[..bytes.len() / 2]).unwrap();
    });
}

#[test]
fn garbled_in_the_middle() {
    check_survives(|data| {
        let mut bytes = fs::read(database(data)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8192].fill(0xA5);
        fs::write(database(data), bytes).unwrap();
    });
}

#[test]
fn of_another_version() {
    check_survives(|data| execute(data, "UPDATE applied SET version = 0"));
}

#[test]
fn of_another_log() {
    check_survives(|data| execute(data, "UPDATE applied SET log_id = 'other'; DELETE FROM memories"));
}

#[test]
fn of_another_history() {
    check_survives(|data| execute(data, "UPDATE applied SET hash = zeroblob(32); DELETE FROM memories"));
}

#[test]
fn ahead_of_the_log() {
    check_survives(|data| execute(data, "UPDATE applied SET seq = 99; DELETE FROM memories"));
}

#[test]
fn behind_the_log() {
    check_survives(|data| {
        let third = "SELECT hash FROM memories WHERE seq = 3";
        execute(data, &format!("UPDATE applied SET seq = 3, hash = ({third})"));
        execute(data, "INSERT INTO memories_fts (memories_fts) VALUES ('rebuild')");
        execute(
            data,
            "DELETE FROM memories WHERE seq > 3; INSERT INTO memories_fts (memories_fts) VALUES ('rebuild')",
        );
    });
}

/// Damage while the engine runs: reads notice, the log brings it back.
#[test]
fn garbled_while_in_use() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..200 {
        engine.save(&format!("memory number {n} {}", "filler ".repeat(300)));
    }
    let length = fs::metadata(database(data.path())).unwrap().len();
    fs::write(database(data.path()), vec![0xA5; usize::try_from(length).unwrap()]).unwrap();
    let _ = fs::write(data.path().join("projection/memories.sqlite-wal"), "");
    eventually("all memories are found again", || {
        engine.save("poke");
        let answer = engine.get("/v1/search?q=number");
        answer.status == 200 && answer.json()["total"] == 200
    });
    assert!(engine.terminate().success());
}

#[test]
fn rebuilt_by_hand() {
    check_survives(|data| {
        let rebuilt = binary().arg("rebuild").arg("--data").arg(data).output().unwrap();
        assert!(rebuilt.status.success(), "{rebuilt:?}");
        let report: serde_json::Value = serde_json::from_slice(&rebuilt.stdout).unwrap();
        assert_eq!((&report["ok"], &report["applied_seq"]), (&json!(true), &json!(20)));
    });
}
