//! What of a mode survives a restart, what a start finds on the volume, and the command line.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::modes::{force, mode, put, start, want};
use crate::process::{Running, binary, eventually};

#[test]
fn a_hold_ends_by_itself_and_survives_a_crash() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("x");
    assert_eq!(force(&engine, "write_only", 6).status, 200);
    let since = Instant::now();
    engine.kill();
    let engine = Running::start(data.path());
    let report = mode(&engine);
    assert_eq!((&report["effective"], &report["direct"]["by"]), (&json!("write_only"), &json!("a tester")));
    assert_eq!(engine.admin_post("/mode/reset", "").status, 200);
    assert_eq!(mode(&engine)["effective"], "write_only");
    eventually("the hold ends", || engine.get("/v1/search?q=x").status == 200);
    assert!(since.elapsed() >= Duration::from_secs(5), "{:?}", since.elapsed());
    force(&engine, "off", 60);
    assert_eq!(engine.admin_post("/mode/clear", "").json()["effective"], "read_write");
}

/// A file that cannot be read may have held reads off. It is not overwritten, and removing it is enough.
#[test]
fn a_damaged_mode_file_keeps_reads_off_and_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("x");
    force(&engine, "read_only", 60);
    assert!(engine.terminate().success());
    let file = data.path().join("mode/mode.json");
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    let engine = Running::spawn(data.path());
    eventually("ready", || engine.admin("/readyz").status == 200);
    assert_eq!((engine.get("/v1/search?q=x").code(), engine.save("y").status), ("READS_OFF".to_owned(), 201));
    let reasons = engine.health()["reasons"].clone();
    assert!(reasons.as_array().unwrap().contains(&json!("mode_unreadable")), "{reasons}");
    assert!(engine.admin("/readyz?verbose&for=reads").body.contains("mode_unreadable"));
    assert!(engine.admin("/readyz?verbose").body.contains("mode_unreadable"));
    assert!(engine.admin("/").body.contains("memory-engine mode want"));
    assert!(engine.terminate().success());
    assert_eq!(fs::read(&file).unwrap(), &good[..good.len() / 2], "it was overwritten");

    let engine = Running::spawn(data.path());
    eventually("ready", || engine.admin("/readyz").status == 200);
    fs::write(&file, &good).unwrap();
    eventually("it is read", || mode(&engine)["effective"] == "read_only");
    assert_eq!(engine.total("q=x"), 1);
}

/// Without an operator, a person says which mode is wanted.
#[test]
fn a_person_sets_the_mode_when_its_file_is_damaged() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("x");
    force(&engine, "read_only", 60);
    engine.kill();
    fs::write(data.path().join("mode/mode.json"), "{").unwrap();
    let engine = start(data.path(), "{}", &["--mode", "read-only"]);
    assert_eq!(mode(&engine)["unreadable"], true);
    let body = json!({"mode": "read_write", "by": "a tester", "reason": "the file is damaged"});
    let report = engine.admin_post("/mode/want", &body.to_string()).json();
    assert_eq!((&report["effective"], &report["unreadable"]), (&json!("read_write"), &Value::Null));
    eventually("reads work", || engine.get("/v1/search?q=x").status == 200);
    assert_eq!(engine.health()["status"], "ok");
    assert!(engine.terminate().success());
    let engine = start(data.path(), "{}", &["--mode", "read-only"]);
    assert_eq!(mode(&engine)["effective"], "read_write", "it was written");
    assert!(engine.said().contains("--mode is not used"), "{}", engine.said());
    want(&engine, "read_write", 1);
    let refused = engine.admin_post("/mode/want", &body.to_string());
    assert_eq!(refused.status, 409, "the resource says it: {refused:?}");
}

fn recorded(engine: &Running) -> Vec<Value> {
    let events = engine.get("/v1/events?type=guard.transition&limit=1000").json();
    events["events"].as_array().unwrap().iter().map(|event| event["payload"].clone()).collect()
}

/// Nobody records a change of the file that is made outside of the engine, so that the next start does.
#[test]
fn a_mode_file_that_was_changed_outside_is_recorded_in_the_log() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("x");
    force(&engine, "read_only", 600);
    eventually("it is recorded", || recorded(&engine).len() == 1);
    assert!(engine.terminate().success());
    let file = data.path().join("mode/mode.json");
    let written = fs::read_to_string(&file).unwrap();
    let differences = |engine: &Running| -> Vec<Value> {
        recorded(engine).iter().map(|record| record["input"]["difference"].clone()).collect()
    };
    let engine = start(data.path(), "{}", &[]);
    eventually("reads work", || engine.get("/v1/search?q=x").status == 200);
    engine.save("y");
    assert_eq!(differences(&engine), [Value::Null], "nothing was changed");
    assert!(engine.terminate().success());

    fs::write(&file, written.replace(r#""mode": "read_only""#, r#""mode": "read_write""#)).unwrap();
    let engine = start(data.path(), "{}", &[]);
    eventually("the change is recorded", || differences(&engine) == [json!(null), json!("file_changed")]);
    assert_eq!(engine.save("z").status, 201);
    assert!(engine.terminate().success());

    fs::remove_file(&file).unwrap();
    let engine = start(data.path(), "{}", &[]);
    let expected = [json!(null), json!("file_changed"), json!("file_removed")];
    eventually("the removal is recorded", || differences(&engine) == expected);
    let because = mode(&engine)["transitions"][0]["because"].clone();
    assert_eq!(because, "mode/mode.json was removed outside of the engine");
    for record in recorded(&engine) {
        let at = record["now"]["wall"].as_str().unwrap();
        let output =
            binary().args(["guard", "replay", "--at", at, "--data"]).arg(data.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(replayed["mode"], record["mode"]["to"], "{record}");
    }
}

#[test]
fn every_view_of_a_hold_is_redacted() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("x");
    let address = concat!("anna.smith", "@example.com");
    let body =
        json!({"mode": "read_only", "reason": format!("ask {address}"), "by": address, "ttl_seconds": 60});
    let answer = engine.admin_post("/mode/force", &body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["direct"]["redacted"], true);
    let until = "2999-01-01T00:00:00Z";
    let hold = json!({"mode": "read_only", "reason": address, "by": "the platform", "until": until});
    assert_eq!(put(&engine, "/mode/declared", &json!({"hold": hold})).status, 400, "more than a day");
    let file = fs::read_to_string(data.path().join("mode/mode.json")).unwrap();
    let views =
        [answer.body, engine.admin("/mode").body, engine.admin("/health").body, engine.admin("/").body, file];
    for view in views {
        assert!(!view.contains(address), "{view}");
    }
    eventually("it is recorded", || recorded(&engine).len() == 1);
    assert_eq!(recorded(&engine)[0]["input"]["hold"]["reason"], mode(&engine)["direct"]["reason"]);
}

#[test]
fn twenty_kills_make_a_hold_no_longer() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = Running::start(data.path());
    engine.save("x");
    assert_eq!(force(&engine, "write_only", 600).status, 200);
    let until = mode(&engine)["direct"]["until"].clone();
    for kill in 1..=20 {
        engine.kill();
        engine = Running::spawn(data.path());
        eventually("it answers", || engine.admin("/mode").status == 200);
        assert_eq!(mode(&engine)["direct"]["until"], until, "after {kill} kills");
    }
}

/// A reader that has seen enough, such as `head`, is no failure.
#[test]
fn a_reader_that_closes_early_is_no_failure() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("x");
    let admin = engine.admin.to_string();
    let place = data.path().to_str().unwrap();
    for arguments in [
        &["mode", "status", "--admin", &admin][..],
        &["mode", "status", "--json", "--admin", &admin],
        &["mode", "reset", "--admin", &admin],
        &["guard", "replay", "--at", "2026-01-01T00:00:00Z", "--data", place],
        &["log", "ls", "--data", place],
        &["log", "cat", "--data", place],
        &["verify", "--data", place],
        &["doctor", "--data", place],
        &["config", "show"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = binary().args(arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("panicked"), "{arguments:?}: {output:?}");
    }
}

#[test]
fn the_command_line_has_six_verbs() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("the kettle is blue");
    let admin = engine.admin.to_string();
    let run = |arguments: &[&str]| {
        let output = binary().arg("mode").args(arguments).args(["--admin", &admin]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    assert_eq!(run(&["status", "--json"])["effective"], "read_write");
    let short = binary().args(["mode", "status", "--admin", &admin]).output().unwrap();
    let short = String::from_utf8(short.stdout).unwrap();
    assert!(short.starts_with("mode:       read_write, since ") && short.lines().count() <= 8, "{short}");
    let forced = run(&["force", "write-only", "--reason", "an upgrade", "--by", "me", "--ttl", "60"]);
    assert_eq!(
        (&forced["effective"], &forced["direct"]["reason"]),
        (&json!("write_only"), &json!("an upgrade"))
    );
    let output = binary()
        .args(["mode", "force", "off", "--reason", "another incident", "--by", "you", "--admin", &admin])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("me holds the mode at write_only"), "{said}");
    let replaced =
        run(&["force", "off", "--reason", "another incident", "--by", "you", "--replace", "--ttl", "60"]);
    let because = replaced["transitions"][0]["because"].as_str().unwrap();
    assert!(because.ends_with("in place of the hold of me"), "{because}");
    run(&["force", "write-only", "--reason", "it goes on", "--by", "you", "--ttl", "60"]);
    assert_eq!(run(&["clear"])["effective"], "read_write");
    let wanted = run(&["want", "read-only", "--reason", "an audit", "--by", "me"]);
    assert_eq!((&wanted["wanted"], &wanted["effective"]), (&json!("read_only"), &json!("read_only")));
    assert_eq!(wanted["transitions"][0]["because"], "read_only is wanted by me: an audit");
    assert_eq!(run(&["want", "read-write", "--reason", "done", "--by", "me"])["effective"], "read_write");
    let failures = run(&["reset"])["consecutive_failures"].clone();
    assert!(failures.as_object().unwrap().values().all(|count| count == 0), "{failures}");
    let nowhere = data.path().join("no-such-directory");
    let at = "2026-01-01T00:00:00Z";
    let replay = binary().args(["guard", "replay", "--at", at, "--data"]).arg(nowhere).output().unwrap();
    assert_eq!(replay.status.code(), Some(2), "{replay:?}");
    let ask = |session: &str| {
        let body = json!({"query": "kettle", "session": session}).to_string();
        assert_eq!(engine.post("/v1/checkout", "", &body).status, 200);
    };
    ["monday", "monday", "tuesday"].iter().for_each(|session| ask(session));
    assert_eq!(run(&["invalidate", "monday"])["removed"], 1);
    assert_eq!(run(&["invalidate", "monday"])["removed"], 0);
}
