//! Faults that a drill injects: the engine's own calls of the embedding service end as if it had failed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::drills::{assert_nothing_left, command, drill, failed, verdict};
use crate::modes::{mode, start};
use crate::process::{Running, binary, eventually};
use crate::services::Service;

const ALLOWED: &[&str] = &["--allow-drill-faults"];

/// A guard with the default hold of five minutes: a drill makes it short.
fn config(service: &Service, more: &str) -> String {
    let url = format!("http://{}/v1/embeddings", service.address);
    format!(
        "embedding: {{provider: http, url: '{url}', model: small, queryTimeoutMillis: 300}}\n\
         guard: {{probeIntervalMillis: 10, probeBudgetMillis: 1000, slowMillis: 2000{more}}}\n"
    )
}

fn inject(engine: &Running, kind: &str, seconds: u64) -> u16 {
    engine.admin_post("/drill/fault", &json!({"kind": kind, "seconds": seconds}).to_string()).status
}

fn gauge(engine: &Running, kind: &str) -> bool {
    let metrics = engine.admin("/metrics").body;
    let found = metrics.lines().find(|line| line.starts_with("memory_drill_fault") && line.contains(kind));
    found.expect("a sample").ends_with(" 1")
}

#[test]
fn the_drills_of_a_dependency_pass_and_nothing_reaches_the_service() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let engine = start(data.path(), &config(&service, ""), ALLOWED);
    let begun = Instant::now();
    for (name, reason) in [
        ("auth-failure", "embedding_authentication_failed"),
        ("consecutive-failures", "embedding_consecutive_failures"),
    ] {
        let (code, verdict) = drill(&engine, name, &["--run", name]);
        assert_eq!((code, &verdict["outcome"]), (0, &json!("passed")), "{verdict:#}");
        let told = verdict["checks"].to_string();
        assert!(told.contains(reason) && told.contains("\"probed\""), "{verdict:#}");
        assert_nothing_left(&engine, name);
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "the hold is that of a drill: {:?}", begun.elapsed());
    assert_eq!(engine.health()["drill_faults"], json!({"allowed": true}));
    // The service saw none of the searches that failed, but those of the recovery.
    assert_eq!((service.times("small", "attempt0"), service.times("small", "attempt1") > 0), (0, true));
    replays(data.path(), &engine);
}

/// What the guard decided because of a drill is decided again in the same way.
fn replays(data: &std::path::Path, engine: &Running) {
    let transitions = mode(engine)["transitions"].as_array().unwrap().len();
    let recorded = || {
        engine.get("/v1/events?type=guard.transition&limit=1000").json()["events"].as_array().unwrap().len()
    };
    eventually("everything is recorded", || recorded() == transitions);
    let at = "2100-01-01T00:00:00Z";
    let output = binary().args(["guard", "replay", "--at", at, "--data"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&replayed["differing"], &replayed["mode"]), (&json!([]), &json!("read_write")));
}

#[test]
fn a_service_that_never_recovers_or_a_guard_that_is_off_fails_the_drill() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let engine = start(data.path(), &config(&service, ""), ALLOWED);
    engine.save("the zorbl is in the shed");
    eventually("it has a vector", || engine.admin("/embedding").json()["embedded"] == 1);
    let api = crate::drill_proxy::DefectProxy::before(engine.api, {
        let service = service.clone();
        // The service fails for good as soon as reads are off.
        move |_, _, answer| {
            if answer.contains("READS_OFF") {
                service.set_status(500);
            }
            answer
        }
    });
    let run = ["--run", "never", "--timeout", "15"];
    let (code, found) = verdict(command("auth-failure", api.address, engine.admin, &run));
    assert_eq!((code, failed(&found)), (1, vec!["in_time"]), "{found:#}");
    assert!(!mode(&engine)["effective"].as_str().unwrap().starts_with("read"));
    service.set_status(0);
    eventually("reads are on", || mode(&engine)["effective"] == "read_write");
    assert_nothing_left(&engine, "never");
    assert!(engine.terminate().success());

    let engine = start(data.path(), &config(&service, ", enabled: false"), ALLOWED);
    let (code, found) = drill(&engine, "consecutive-failures", &["--timeout", "5"]);
    assert_eq!((code, failed(&found)), (1, vec!["in_time"]), "{found:#}");
    assert_eq!(engine.health()["drill_faults"], json!({"allowed": true}), "the fault is ended");
}

#[test]
fn a_fault_needs_the_flag_is_shown_and_ends_by_itself() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let engine = start(data.path(), &config(&service, ""), &[]);
    assert_eq!(inject(&engine, "failure", 1), 403);
    assert_eq!(engine.health()["drill_faults"], Value::Null);
    let (code, found) = drill(&engine, "auth-failure", &["--disturb"]);
    assert_eq!((code, &found["outcome"]), (0, &json!("skipped")), "{found:#}");
    assert!(engine.terminate().success());

    let engine = start(data.path(), &config(&service, ""), ALLOWED);
    for (kind, seconds) in [("failure", 0), ("failure", 61), ("other", 1)] {
        assert_eq!(inject(&engine, kind, seconds), 400, "{kind} {seconds}");
    }
    assert_eq!(inject(&engine, "failure", 2), 200);
    assert!(gauge(&engine, "failure") && !gauge(&engine, "authentication"));
    assert_eq!(engine.health()["drill_faults"]["fault"]["kind"], "failure");
    eventually("it ends", || engine.health()["drill_faults"]["fault"].is_null());
    assert!(!gauge(&engine, "failure"));
}

/// A person or a Job may end the drill while reads are off.
#[test]
fn a_drill_that_is_stopped_ends_its_fault() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let engine = start(data.path(), &config(&service, ""), ALLOWED);
    let child = command("auth-failure", engine.api, engine.admin, &["--run", "stopped"]);
    let mut child = { child }.stdout(std::process::Stdio::piped()).spawn().unwrap();
    eventually("reads are off", || mode(&engine)["effective"] == "write_only");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(engine.health()["drill_faults"], json!({"allowed": true}), "the fault is ended");
    eventually("reads are on", || mode(&engine)["effective"] == "read_write");
    assert_nothing_left(&engine, "stopped");
}
