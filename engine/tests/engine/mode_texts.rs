//! What persons write about a mode, in the file on the volume and in the log, and files that are not what they should
//! be.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, FileType, mknodat};
use serde_json::{Value, json};

use crate::modes::{force, mode, start};
use crate::process::{Running, binary, eventually};

const SECRET: &str = "ghp_abcdefghijABCDEFGHIJ0123456789abcdEF";

fn recorded(engine: &Running) -> usize {
    let events = engine.get("/v1/events?type=guard.transition&limit=1000").json();
    events["events"].as_array().unwrap().len()
}

/// Leaves a volume with a memory and a hold.
fn leave_held(data: &Path) {
    let engine = Running::start(data);
    engine.save("x");
    force(&engine, "read_only", 600);
    assert!(engine.terminate().success());
}

fn replayed(data: &Path) -> Value {
    let now = jiff::Timestamp::now().to_string();
    let output = binary().args(["guard", "replay", "--at", &now, "--data"]).arg(data).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A policy that became stricter must not end the recording of modes, and nothing shows the text any more.
#[test]
fn a_hold_whose_reason_a_later_policy_refuses_is_recorded_without_it() {
    let data = tempfile::tempdir().unwrap();
    let lenient = "policy: {block: [jwt]}\n";
    let engine = start(data.path(), lenient, &[]);
    engine.save("x");
    let hold = json!({"mode": "read_only", "by": "a tester", "reason": format!("rotating {SECRET}"), "ttl_seconds": 600});
    assert_eq!(engine.admin_post("/mode/force", &hold.to_string()).status, 200);
    eventually("it is recorded", || recorded(&engine) == 1);
    assert!(engine.terminate().success());
    let engine = start(data.path(), "{}\n", &[]);
    let shown = [engine.admin("/mode").body, engine.admin("/health").body, engine.admin("/").body];
    assert!(shown.iter().all(|text| !text.contains(SECRET)), "{shown:?}");
    assert_eq!(engine.admin_post("/mode/clear", "").status, 200);
    let wanted = json!({"mode": "write_only", "by": "a tester", "reason": "a test"});
    assert_eq!(engine.admin_post("/mode/want", &wanted.to_string()).status, 200);
    eventually("the changes are recorded", || replayed(data.path())["mode"] == "write_only");
    let replay = replayed(data.path());
    assert_eq!(replay["differing"], json!([]), "{replay}");
    let read = json!({"mode": "read_write", "by": "a tester", "reason": "a test"});
    assert_eq!(engine.admin_post("/mode/want", &read.to_string()).status, 200);
    eventually("four changes are recorded, and no change of the file", || recorded(&engine) == 4);
    assert!(!engine.said().contains(SECRET) && !engine.said().contains("not recorded"), "{}", engine.said());
}

/// Somebody may edit the file. What it says is shown as if it had been sent.
#[test]
fn texts_of_an_edited_file_are_made_fit_to_be_shown() {
    let data = tempfile::tempdir().unwrap();
    leave_held(data.path());
    let file = data.path().join("mode/mode.json");
    let mut saved: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    saved["direct"]["reason"] = json!(format!("{SECRET} call alice@example.com"));
    saved["direct"]["by"] = json!("bob\u{1b}[31m");
    fs::write(&file, saved.to_string()).unwrap();
    let engine = Running::start(data.path());
    let hold = mode(&engine)["direct"].clone();
    assert_eq!(
        (&hold["mode"], &hold["by"], &hold["redacted"]),
        (&json!("read_only"), &json!("bob[31m"), &json!(true))
    );
    let reason = hold["reason"].as_str().unwrap();
    assert!(!reason.contains(SECRET) && !reason.contains("alice@"), "{reason}");
}

#[test]
fn a_pipe_or_a_directory_in_place_of_the_mode_is_said_and_stops_nothing() {
    for is_pipe in [true, false] {
        let data = tempfile::tempdir().unwrap();
        leave_held(data.path());
        let file = data.path().join("mode/mode.json");
        fs::remove_file(&file).unwrap();
        if is_pipe {
            mknodat(CWD, &file, FileType::Fifo, rustix::fs::Mode::from_bits_truncate(0o600), 0).unwrap();
        } else {
            fs::create_dir(&file).unwrap();
        }
        let engine = Running::start(data.path());
        assert_eq!(mode(&engine)["unreadable"], true);
        assert_eq!(engine.save("y").status, 201);
        if !is_pipe {
            let wanted = json!({"mode": "read_write", "by": "a tester", "reason": "a test"});
            let answer = engine.admin_post("/mode/want", &wanted.to_string()).json();
            assert_eq!((&answer["effective"], &answer["unsaved"]), (&json!("read_write"), &json!(true)));
            fs::remove_dir(&file).unwrap();
            eventually("it is written", || mode(&engine)["unsaved"] == Value::Null);
            assert!(file.is_file());
        }
    }
}

/// The mode before the end of a hold is the one that the hold allowed.
#[test]
fn the_end_of_a_hold_is_a_change_from_the_mode_that_it_allowed() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("x");
    force(&engine, "write_only", 1);
    eventually("the hold ends", || mode(&engine)["effective"] == "read_write");
    let last = || engine.admin("/mode").json()["transitions"][0].clone();
    eventually("the end is noted", || last()["because"] == "a hold expired");
    assert_eq!((&last()["from"], &last()["to"]), (&json!("write_only"), &json!("read_write")));
}

#[test]
fn requests_without_a_body_refuse_one() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for path in ["/mode/clear", "/mode/reset"] {
        assert_eq!(engine.admin_post(path, "{\"a\":1}").status, 400, "{path}");
        assert_eq!(engine.admin_post(path, "").status, 200, "{path}");
    }
    assert_eq!(crate::modes::put(&engine, "/mode/declared", &json!({})).status, 400);
}
