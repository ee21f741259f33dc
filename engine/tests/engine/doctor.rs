//! The `doctor` command reports what is wrong, with an exit code.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{Running, binary, segment};

fn doctor(data: &Path, flags: &[&str]) -> (Option<i32>, Value) {
    let output = binary().arg("doctor").args(flags).arg("--data").arg(data).output().unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// Names of the checks with this outcome.
fn named(report: &Value, outcome: &str) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap_or_else(|| panic!("no checks: {report}"));
    let ended = checks.iter().filter(|check| check["outcome"] == outcome);
    ended.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

fn database(data: &Path) -> PathBuf {
    let mut files = fs::read_dir(data.join("projection")).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "sqlite")).unwrap()
}

fn some_memories() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..20 {
        engine.save(&format!("memory number {n}"));
    }
    assert!(engine.terminate().success());
    data
}

/// Damages the data directory with `harm`. The doctor must report the checks in `broken` and repair them, and then find
/// nothing left to repair.
fn check_mends(broken: &[&str], harm: impl FnOnce(&Path)) {
    let data = some_memories();
    harm(data.path());
    let (code, report) = doctor(data.path(), &[]);
    assert_eq!((code, named(&report, "broken")), (Some(1), broken.iter().map(|&name| name.into()).collect()));
    for check in report["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == "broken") {
        assert!(!check["hint"].as_str().unwrap().is_empty(), "the remedy: {check}");
    }
    let (code, report) = doctor(data.path(), &["--repair"]);
    assert_eq!((code, named(&report, "broken").len()), (Some(0), 0), "{report}");
    for name in broken {
        assert!(named(&report, "repaired").contains(&(*name).into()), "{report}");
    }
    let (code, report) = doctor(data.path(), &["--json"]);
    assert_eq!((code, named(&report, "repaired").len()), (Some(0), 0), "{report}");
    let engine = Running::start(data.path());
    assert_eq!(engine.total("q=memory+number"), 20);
}

fn execute(data: &Path, sql: &str) {
    rusqlite::Connection::open(database(data)).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_healthy_directory_is_healthy() {
    let data = some_memories();
    let (code, report) = doctor(data.path(), &[]);
    assert_eq!(
        (code, &report["ok"], &report["engine_running"]),
        (Some(0), &json!(true), &json!(false)),
        "{report}"
    );
    let ok = named(&report, "ok");
    for name in ["log", "projection", "projection.place", "projection.rows", "projection.index", "space"] {
        assert!(ok.contains(&name.to_owned()), "{name}: {report}");
    }
}

/// Right after a rotation, the last line of the log is a header, and the last event is in the previous segment.
#[test]
fn a_directory_is_healthy_right_after_a_rotation() {
    let data = some_memories();
    let rotated = binary().args(["log", "rotate", "--data"]).arg(data.path()).output().unwrap();
    assert!(rotated.status.success(), "{rotated:?}");
    let (code, report) = doctor(data.path(), &[]);
    assert_eq!(code, Some(0), "{report}");
}

#[test]
fn a_missing_projection_is_named_and_built() {
    check_mends(&["projection"], |data| fs::remove_dir_all(data.join("projection")).unwrap());
}

#[test]
fn an_edited_row_is_named_and_put_right() {
    check_mends(&["projection.rows", "projection.index"], |data| {
        execute(data, "UPDATE memories SET content = 'planted' WHERE seq = 4");
    });
}

#[test]
fn a_full_text_index_that_does_not_fit_is_named_and_built() {
    let plant = "INSERT INTO memories_fts (rowid, title, content, tags) VALUES (3, '', 'planted', '')";
    check_mends(&["projection.index"], |data| execute(data, plant));
}

#[test]
fn a_projection_of_another_log_is_named_and_built() {
    check_mends(&["projection.place"], |data| execute(data, "UPDATE applied SET log_id = 'other'"));
    check_mends(&["projection.place"], |data| execute(data, "UPDATE applied SET seq = 21"));
    check_mends(&["projection.place"], |data| execute(data, "UPDATE applied SET hash = zeroblob(32)"));
}

#[test]
fn a_key_that_others_can_read_is_named_and_closed() {
    check_mends(&["keys"], |data| {
        fs::create_dir_all(data.join("keys")).unwrap();
        let key = data.join("keys/old.key");
        fs::write(&key, "x").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    });
}

#[test]
fn a_log_that_does_not_verify_is_not_repaired() {
    let data = some_memories();
    let mut bytes = fs::read(segment(data.path())).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(segment(data.path()), &bytes).unwrap();
    for flags in [[].as_slice(), &["--repair"]] {
        let (code, report) = doctor(data.path(), flags);
        assert_eq!((code, &report["ok"]), (Some(1), &json!(false)));
        assert!(named(&report, "broken").contains(&"log".to_owned()), "{report}");
    }
    assert_eq!(fs::read(segment(data.path())).unwrap(), bytes, "it was not touched");
}

#[test]
fn beside_a_running_engine_it_looks_and_does_not_touch() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..20 {
        engine.save(&format!("memory number {n}"));
    }
    let (code, report) = doctor(data.path(), &[]);
    assert_eq!((code, &report["engine_running"]), (Some(0), &json!(true)), "{report}");
    assert_eq!(named(&report, "broken").len(), 0);
    assert!(named(&report, "skipped").contains(&"projection.index".to_owned()));
    assert_eq!(doctor(data.path(), &["--repair"]).0, Some(2));
    assert_eq!(engine.save("still here").status, 201);
    assert_eq!(engine.total("q=still"), 1);
    let nowhere = data.path().join("nowhere");
    assert_eq!(doctor(&nowhere, &[]).0, Some(2));
    assert!(!nowhere.exists(), "a check creates nothing");
}
