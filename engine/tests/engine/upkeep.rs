//! Upkeep that is asked for on the admin port, each with the id of a request.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Running, eventually};

fn ask(engine: &Running, body: &Value) -> Value {
    let answer = engine.admin_post("/upkeep", &body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Asks until the run has ended.
fn ended(engine: &Running, body: &Value) -> Value {
    let mut run = Value::Null;
    eventually("the run ends", || {
        run = ask(engine, body);
        run["state"] != "running"
    });
    assert!(run["finished"].is_string(), "{run}");
    run
}

fn task(task: &str, request: &str) -> Value {
    json!({"task": task, "request": request})
}

/// The request that carries out a plan.
fn applying(plan: &Value, request: &str) -> Value {
    json!({"task": "apply_retention", "request": request, "plan": {
        "plan_hash": plan["plan_hash"], "as_of": plan["as_of"], "applied_seq": plan["applied_seq"],
        "reason": "approved by a tester", "by": "memory-operator",
    }})
}

fn fill(engine: &Running, count: usize) {
    let memories: Vec<Value> =
        (0..count).map(|n| json!({"content": format!("number {n} of many"), "project": "p"})).collect();
    let body = json!({"memories": memories}).to_string();
    assert_eq!(engine.post("/v1/memories/batch", "", &body).status, 201);
}

fn start(data: &Path, retention: &str) -> Running {
    let config = data.join("config.yaml");
    fs::write(&config, format!("retention: {retention}\n")).unwrap();
    let engine = Running::spawn_with(data, &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

#[test]
fn a_log_is_rotated_once_for_a_request() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("the kettle is blue");
    let head = engine.health()["log"]["seq"].as_u64().unwrap();
    let run = ended(&engine, &task("rotate_log", "job-1"));
    assert_eq!(run["result"]["rotated"]["first_seq"], head + 1, "{run}");
    engine.save("the kettle is red");
    assert_eq!(ended(&engine, &task("rotate_log", "job-1")), run, "the same request does nothing again");
    let second = ended(&engine, &task("rotate_log", "job-2"));
    assert_eq!(second["result"]["rotated"]["segment"], 3, "{second}");
    let runs = engine.admin("/upkeep").json()["runs"].clone();
    assert_eq!(runs, json!([second]), "only the last run of a task is kept");
    for body in [
        json!({}),
        task("rotate_log", ""),
        task("rotate_log", "a b"),
        task("vacuum", "job-3"),
        task("apply_retention", "job-3"),
        json!({"task": "scrub", "request": "job-3", "colour": "red"}),
    ] {
        assert_eq!(engine.admin_post("/upkeep", &body.to_string()).status, 400, "{body}");
    }
}

#[test]
fn a_scrub_reads_log_and_projection_and_says_what_it_found() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    fill(&engine, 20);
    ended(&engine, &task("rotate_log", "job-1"));
    let run = ended(&engine, &task("scrub", "job-2"));
    let seq = engine.health()["log"]["seq"].as_u64().unwrap();
    assert_eq!(run["result"]["verified"], json!({"events": seq, "applied_seq": seq}), "{run}");
    let begun = run["started"].as_str().unwrap().to_owned();
    let health = engine.health();
    assert!(health["projection"]["checked_at"].as_str().unwrap() >= begun.as_str(), "{health}");
    assert!(health["log"]["integrity"]["verified_at"].as_str().unwrap() >= begun.as_str(), "{health}");

    let sealed = fs::read_dir(data.path().join("log")).unwrap().map(|entry| entry.unwrap().path());
    let sealed = sealed.filter(|path| path.to_string_lossy().contains("0001.jsonl")).min().unwrap();
    let mut bytes = fs::read(&sealed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&sealed, bytes).unwrap();
    let run = ended(&engine, &task("scrub", "job-3"));
    assert_eq!((&run["state"], &run["code"]), (&json!("failed"), &json!("LOG_CORRUPT")), "{run}");
    assert!(run["error"].as_str().unwrap().starts_with("the log does not verify: "), "{run}");
}

#[test]
fn exactly_the_approved_plan_is_carried_out_and_only_once() {
    let data = tempfile::tempdir().unwrap();
    let engine = start(data.path(), "{maxEntriesPerProject: 90}");
    fill(&engine, 100);
    let plan = ended(&engine, &task("plan_retention", "job-1"))["result"]["planned"].clone();
    assert_eq!(
        (&plan["memories"], &plan["total"], &plan["by_rule"]["entries"]),
        (&json!(10), &json!(100), &json!(10)),
        "{plan}"
    );
    assert!(plan.get("spikes").is_none() && plan["oldest"].is_string(), "{plan}");
    assert_eq!(engine.total(""), 100, "a plan changes nothing");

    let mut other = plan.clone();
    other["plan_hash"] = json!("0".repeat(64));
    let refused = ended(&engine, &applying(&other, "apply-1"));
    assert_eq!((&refused["state"], &refused["code"]), (&json!("failed"), &json!("PLAN_CHANGED")));
    let done = ended(&engine, &applying(&plan, "apply-2"));
    let applied = &done["result"]["applied"];
    assert_eq!((&applied["plan_hash"], &applied["memories"]), (&plan["plan_hash"], &json!(10)), "{done}");
    assert_eq!(engine.total(""), 90);
    let again = ended(&engine, &applying(&plan, "apply-3"));
    assert_eq!(again["result"], done["result"], "the same plan is answered with what was done");
    let events = engine.get("/v1/events?type=retention.applied").json()["events"].clone();
    assert_eq!(events.as_array().unwrap().len(), 1, "{events}");
    assert_eq!(
        (&events[0]["seq"], &events[0]["actor"], &events[0]["payload"]["reason"]),
        (&applied["seq"], &json!("memory-operator"), &json!("approved by a tester"))
    );
}

#[test]
fn a_spike_is_said_in_the_plan_and_refused_without_its_number() {
    let data = tempfile::tempdir().unwrap();
    let engine = start(data.path(), "{maxEntriesPerProject: 5}");
    fill(&engine, 10);
    let plan = ended(&engine, &task("plan_retention", "job-1"))["result"]["planned"].clone();
    assert_eq!(plan["spikes"].as_array().unwrap().len(), 1, "{plan}");
    let refused = ended(&engine, &applying(&plan, "apply-1"));
    assert_eq!((&refused["code"], engine.total("")), (&json!("SPIKE_GUARD"), 10), "{refused}");
    let mut named = applying(&plan, "apply-2");
    named["plan"]["override_spike_guard"] = json!(5);
    assert_eq!(ended(&engine, &named)["state"], "done");
    assert_eq!(engine.total(""), 5);
}

#[test]
fn a_plan_without_rules_fails_and_says_so() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let run = ended(&engine, &task("plan_retention", "job-1"));
    assert_eq!((&run["state"], &run["code"]), (&json!("failed"), &json!("INVALID_ARGUMENT")), "{run}");
}
