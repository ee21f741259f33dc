//! The projection can always be replaced: after any damage the engine rebuilds it from the log.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{Running, binary, eventually};

/// Path of the active database.
fn database(data: &Path) -> PathBuf {
    let mut all: Vec<PathBuf> =
        fs::read_dir(data.join("projection")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "sqlite"));
    assert_eq!(all.len(), 1, "one database and no leftovers: {all:?}");
    all.remove(0)
}

/// Saves some memories, stops the engine, damages the projection, starts the engine, and checks that all memories are
/// found.
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
    let connection = rusqlite::Connection::open(database(data)).unwrap();
    // The view behind the index calls an SQL function that the engine defines. One of the words in these memories
    // differs from its stem.
    let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8;
    let terms = |call: &rusqlite::functions::Context<'_>| {
        Ok(call.get::<Option<String>>(0)?.map(|text| text.replace("memory", "memori")))
    };
    connection.create_scalar_function("terms", 1, flags, terms).unwrap();
    connection.execute_batch(sql).unwrap();
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

#[test]
fn without_its_full_text_index() {
    check_survives(|data| execute(data, "DROP TABLE memories_fts"));
}

#[test]
fn with_a_trigger_that_is_not_ours() {
    check_survives(|data| {
        execute(data, "CREATE TRIGGER t AFTER INSERT ON memories BEGIN DELETE FROM memories; END");
    });
}

#[test]
fn of_the_first_version() {
    check_survives(|data| {
        let old = data.join("projection/memories.sqlite");
        fs::rename(database(data), &old).unwrap();
        let connection = rusqlite::Connection::open(old).unwrap();
        connection.execute_batch("UPDATE applied SET version = 1; DELETE FROM memories").unwrap();
    });
}

/// Saves some memories, damages the projection while it serves, and waits until the engine has detected and repaired
/// the damage.
fn check_heals(reason: &str, harm: impl FnOnce(&Path)) {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..200 {
        engine.save(&format!("memory number {n} {}", "filler ".repeat(300)));
    }
    harm(data.path());
    let line = format!("memory_projection_rebuilds_total{{reason=\"{reason}\",engine=\"\"}} 1");
    eventually("the damage is detected", || engine.admin("/metrics").body.contains(&line));
    eventually("all memories are found again", || {
        let answer = engine.get("/v1/search?q=number");
        answer.status == 200 && answer.json()["total"] == 200
    });
    eventually("the check succeeds", || engine.health()["projection"]["checked_at"].is_string());
    assert_eq!(engine.save("one more").json()["seq"], 201);
    assert_eq!(engine.total("q=one+more"), 1);
    assert!(engine.terminate().success());
    database(data.path());
}

#[test]
fn removed_while_in_use() {
    check_heals("missing", |data| fs::remove_file(database(data)).unwrap());
}

#[test]
fn replaced_while_in_use() {
    check_heals("missing", |data| {
        let copy = data.join("copy");
        fs::copy(database(data), &copy).unwrap();
        fs::rename(copy, database(data)).unwrap();
    });
}

#[test]
fn a_row_edited_while_in_use() {
    check_heals("edited", |data| execute(data, "UPDATE memories SET title = 'planted' WHERE seq = 7"));
}

#[test]
fn the_full_text_index_emptied_while_in_use() {
    check_heals("index", |data| {
        execute(data, "INSERT INTO memories_fts (memories_fts) VALUES ('delete-all')");
    });
}

#[test]
fn a_word_planted_in_the_full_text_index_while_in_use() {
    let plant = "INSERT INTO memories_fts (memories_fts, rowid, title, content, tags) VALUES ('delete', 3, '', 'memory', '')";
    check_heals("index", |data| execute(data, plant));
}

#[test]
fn the_full_text_index_dropped_while_in_use() {
    check_heals("damaged", |data| execute(data, "DROP TABLE memories_fts"));
}

#[test]
fn cut_while_in_use() {
    check_heals("missing", |data| {
        // The previous check recorded the file's length.
        execute(data, "PRAGMA wal_checkpoint(TRUNCATE)");
        std::thread::sleep(std::time::Duration::from_millis(2500));
        fs::OpenOptions::new().write(true).open(database(data)).unwrap().set_len(8192).unwrap();
    });
}

/// A read detects the garbage, or else the check that follows a start.
#[test]
fn garbled_while_in_use() {
    check_heals("damaged", |data| {
        let length = fs::metadata(database(data)).unwrap().len();
        fs::write(database(data), vec![0xA5; usize::try_from(length).unwrap()]).unwrap();
        let wal = PathBuf::from(format!("{}-wal", database(data).display()));
        let _ = fs::write(wal, "");
    });
}

/// An edit made while the engine was stopped is not visible at the start; the check that follows the start detects it.
#[test]
fn a_row_edited_before_the_start() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("the kettle is blue");
    assert!(engine.terminate().success());
    execute(data.path(), "UPDATE memories SET content = 'the kettle is red'");
    let engine = Running::start(data.path());
    eventually("the true memory is back", || {
        let answer = engine.get("/v1/search");
        answer.status == 200 && answer.json()["items"][0]["snippet"] == "the kettle is blue"
    });
    assert!(engine.said().contains("its rows have the digest"), "{}", engine.said());
}

/// The old projection serves requests, including writes, until the new one replaces it. The check of the new projection
/// against the log finds no mismatch.
#[test]
fn rebuilt_while_serving() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..50 {
        engine.save(&format!("memory number {n}"));
    }
    let before = database(data.path());
    for round in 1..=3 {
        let accepted = engine.admin_post("/rebuild", "");
        assert_eq!(accepted.status, 202, "{accepted:?}");
        let swapped = format!("reason=\"asked\",engine=\"\"}} {round}");
        let mut saved = 0;
        eventually("a new one answers", || {
            let seq = engine.save("meanwhile").json()["seq"].as_u64().unwrap();
            saved += 1;
            assert_eq!(engine.get("/v1/search?q=meanwhile").json()["applied_seq"].as_u64(), Some(seq));
            let health = engine.health();
            engine.admin("/metrics").body.contains(&swapped) && health["projection"]["rebuild"].is_null()
        });
        assert!(saved > 0);
    }
    assert!(!before.exists(), "the old one is removed");
    eventually("the check succeeds", || engine.health()["projection"]["checked_at"].is_string());
    let metrics = engine.admin("/metrics").body;
    assert!(metrics.contains("memory_projection_mismatches_total{engine=\"\"} 0"), "{metrics}");
    assert!(engine.terminate().success());
    database(data.path());
}

/// A rebuild compares the digest over all rows of the replaced projection with the digest that the log yields.
#[test]
fn a_rebuild_tells_that_the_one_before_was_wrong() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("the kettle is blue");
    assert!(engine.terminate().success());
    // The digest is adjusted as well, so that only the log can reveal the edit.
    execute(data.path(), "UPDATE applied SET digest = zeroblob(32)");
    let rebuilt = binary().arg("rebuild").arg("--data").arg(data.path()).output().unwrap();
    let report: Value = serde_json::from_slice(&rebuilt.stdout).unwrap();
    assert_eq!(report["replaced_was_wrong"], true, "{report}");
    let again = binary().arg("rebuild").arg("--data").arg(data.path()).output().unwrap();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&again["replaced_was_wrong"], &again["digest"]), (&json!(false), &report["digest"]));
}

#[test]
fn rebuilt_by_hand() {
    check_survives(|data| {
        let rebuilt = binary().arg("rebuild").arg("--data").arg(data).output().unwrap();
        assert!(rebuilt.status.success(), "{rebuilt:?}");
        let report: Value = serde_json::from_slice(&rebuilt.stdout).unwrap();
        assert_eq!((&report["ok"], &report["applied_seq"]), (&json!(true), &json!(20)));
        assert_eq!(report["replaced_was_wrong"], false);
    });
}

/// A client that reads only the status must see that nothing was saved.
#[test]
fn an_outage_is_no_answer_of_200() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let memory = json!({ "content": "many words of a memory ".repeat(20) });
    let many = json!({ "memories": vec![memory; 1000] }).to_string();
    for _ in 0..3 {
        assert_eq!(engine.post("/v1/memories/batch", "", &many).status, 201);
    }
    assert!(engine.terminate().success());
    fs::remove_dir_all(data.path().join("projection")).unwrap();
    let engine = Running::spawn(data.path());
    let documents =
        json!({ "documents": [{ "source": "a.md", "content": "x" }, { "source": "b.md", "content": "" }] });
    let mut outages = 0;
    eventually("documents are taken", || {
        let answer = engine.post("/v1/documents", "", &documents.to_string());
        if answer.status != 200 {
            assert!(answer.status == 503 && answer.code().starts_with("PROJECTION_"), "{answer:?}");
            outages += 1;
            return false;
        }
        let statuses: Vec<Value> =
            answer.json()["items"].as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
        assert_eq!(statuses, ["saved", "refused"], "the error names the document's fault: {answer:?}");
        true
    });
    assert!(outages > 0, "it was queried before it was ready");
}
