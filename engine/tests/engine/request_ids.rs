//! The identifiers of requests: in answers, in the log, in audit lines, and in requests to other services.

use serde_json::{Value, json};

use crate::process::{Answer, JSON, Running, eventually};
use crate::services::Service;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn headers(id: &str) -> String {
    format!("x-request-id: {id}\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\n")
}

fn id_of(answer: &Answer) -> String {
    let line = answer.head.lines().find(|line| line.to_ascii_lowercase().starts_with("x-request-id:"));
    line.unwrap_or_else(|| panic!("no id: {answer:?}"))["x-request-id:".len()..].trim().to_owned()
}

/// The first line of the log with this message and this id.
fn line(engine: &Running, message: &str, id: &str) -> Value {
    let mut found = Value::Null;
    eventually(message, || {
        let said = engine.said();
        let lines = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let line = lines.into_iter().find(|line| line["message"] == message && line["request_id"] == id);
        found = line.unwrap_or_default();
        found.is_object()
    });
    found
}

fn call(engine: &Running, id: &str, tool: &str, arguments: &Value) -> Answer {
    let message = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments},
    });
    let accept = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
    engine.post("/mcp", &format!("{accept}{}", headers(id)), &message.to_string())
}

#[test]
fn every_answer_has_the_id_of_its_request() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let get = |path: &str, headers: &str| engine.connect().request("GET", path, headers, "").unwrap();
    assert_eq!(id_of(&get("/v1/log/head", &headers("a-7"))), "a-7");
    assert_eq!(id_of(&get("/nowhere", &headers("a-7"))), "a-7", "a refusal too");
    assert_eq!(id_of(&engine.post("/v1/memories", &headers("a-8"), "{")), "a-8");
    assert_eq!(id_of(&call(&engine, "m-1", "memory_status", &json!({}))), "m-1");
    let [one, other] = [get("/v1/log/head", ""), get("/v1/log/head", "")].map(|answer| id_of(&answer));
    assert!(one.len() == 16 && one != other, "{one} {other}");
    for refused in ["a b", &"a".repeat(129), "a\"b", "+41-44-668-18-00"] {
        assert_ne!(id_of(&get("/v1/log/head", &headers(refused))), refused);
    }
    let twice = get("/v1/log/head", "x-request-id: a\r\nx-request-id: b\r\n");
    assert_eq!(id_of(&twice).len(), 16, "an ambiguous id is not taken");
    let mut admin = crate::process::Client::connect(engine.admin).unwrap();
    assert_eq!(id_of(&admin.request("GET", "/readyz", &headers("p-1"), "").unwrap()), "p-1");
    let mut broken = engine.connect();
    broken.raw(b"GET / HTTP/1.1 what is this\r\n\r\n").unwrap();
    let answer = broken.answer().unwrap();
    assert_eq!((answer.status, id_of(&answer).len()), (400, 16), "a head that cannot be read");
}

#[test]
fn a_head_that_cannot_be_read_has_the_id_of_its_answer_in_the_log() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::spawn_with(data.path(), &["--set".as_ref(), "log.level=debug".as_ref()]);
    for head in
        ["GET / HTTP/1.1 what is this\r\n\r\n", "GET /\u{1} HTTP/1.1\r\n\r\n", "\r\nno request\r\n\r\n"]
    {
        let mut broken = engine.connect();
        broken.raw(head.as_bytes()).unwrap();
        let answer = broken.answer().unwrap();
        assert_eq!(answer.status, 400, "{head}");
        let id = id_of(&answer);
        let refused = line(&engine, "a connection is refused or ended", &id);
        let why = line(&engine, "the head of a request cannot be read", &id);
        assert!(why["fault"].is_string() && why["trace_id"] == refused["trace_id"], "{why} {refused}");
    }
}

#[test]
fn lines_of_other_threads_and_audit_lines_have_the_ids() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let saved = engine.save("something to forget").json()["id"].as_str().unwrap().to_owned();
    let kept = engine.save("something else").json()["id"].as_str().unwrap().to_owned();

    let mut admin = crate::process::Client::connect(engine.admin).unwrap();
    assert_eq!(admin.request("POST", "/rotate", &headers("r-1"), "").unwrap().status, 200);
    // The writer's thread logs the first of these.
    assert_eq!(line(&engine, "segment begun", "r-1")["trace_id"], TRACE);
    let audited = line(&engine, "an administrative request was answered", "r-1");
    assert_eq!((&audited["action"], &audited["status"]), (&"/rotate".into(), &200.into()));
    assert_eq!((&audited["client"], &audited["target"]), (&"127.0.0.1".into(), &"audit".into()));

    let force = json!({
        "mode": "read_write", "reason": "a private reason", "by": "a private name", "ttl_seconds": 60,
    });
    let want = json!({"mode": "read_write", "told_by": {"uid": "u", "generation": 1}});
    let (force, want) = (force.to_string(), want.to_string());
    for (method, action, body, id, status) in [
        ("POST", "/mode/force", force.as_str(), "h-1", 200),
        ("POST", "/mode/force", "{}", "h-2", 400),
        ("PUT", "/mode/wanted", want.as_str(), "h-3", 200),
        ("PUT", "/mode/declared", "{\"hold\": null}", "h-4", 200),
        ("POST", "/mode/invalidate", "{\"session\": \"a private name\"}", "h-5", 200),
        ("POST", "/mode/reset", "", "h-6", 200),
        ("POST", "/mode/clear", "", "h-7", 200),
    ] {
        let headers = format!("{JSON}{}", headers(id));
        assert_eq!(admin.request(method, action, &headers, body).unwrap().status, status, "{action}");
        let audited = line(&engine, "an administrative request was answered", id);
        assert_eq!((&audited["action"], &audited["status"]), (&action.into(), &status.into()));
        assert_eq!(audited["client"], "127.0.0.1");
    }

    let forget = json!({"ids": [saved], "reason": "a private reason"}).to_string();
    assert_eq!(engine.post("/v1/forget", &headers("f-1"), &forget).status, 200);
    let audited = line(&engine, "memories were removed", "f-1");
    assert_eq!((&audited["action"], &audited["memories"]), (&"forget".into(), &1.into()));
    assert_eq!((&audited["client"], &audited["trace_id"]), (&"127.0.0.1".into(), &TRACE.into()));
    assert!(audited["seq"].as_u64().unwrap() > 0);
    let missing = json!({"ids": ["0".repeat(32)], "reason": "x"}).to_string();
    assert_eq!(engine.post("/v1/forget", &headers("f-2"), &missing).status, 404);
    assert_eq!(line(&engine, "memories were not removed", "f-2")["outcome"], "ENTRY_NOT_FOUND");

    call(
        &engine,
        "f-3",
        "memory_forget",
        &json!({"ids": [kept], "reason": "a private reason", "dry_run": false}),
    );
    let audited = line(&engine, "memories were removed", "f-3");
    assert_eq!((&audited["client"], &audited["trace_id"]), (&"127.0.0.1".into(), &TRACE.into()));

    let plan = json!({"rules": {"max_age_days": 1}});
    let plan = engine.post("/v1/retention/plan", "", &plan.to_string()).json();
    let apply = json!({
        "plan_hash": plan["plan_hash"], "rules": plan["rules"], "as_of": plan["as_of"],
        "applied_seq": plan["applied_seq"],
    });
    assert_eq!(engine.post("/v1/retention/apply", &headers("t-1"), &apply.to_string()).status, 201);
    assert_eq!(line(&engine, "memories were removed", "t-1")["action"], "retention");
    assert!(!engine.said().contains("private"));
}

#[test]
fn a_model_server_learns_the_trace() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let config = data.path().join("config.yaml");
    let url = format!("http://{}/v1/rerank", service.address);
    std::fs::write(&config, format!("rerank: {{url: '{url}', model: m}}")).unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    for text in ["a blue kettle", "a kettle of iron"] {
        assert_eq!(engine.save(text).status, 201);
    }
    let answer = engine.connect().request("GET", "/v1/search?q=kettle", &headers("s-1"), "").unwrap();
    assert_eq!(answer.status, 200);
    let parents = service.parents();
    assert!(parents.iter().any(|parent| parent.starts_with(&format!("00-{TRACE}-"))), "{parents:?}");
}
