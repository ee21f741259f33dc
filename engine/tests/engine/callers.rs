//! The admin port answers programs of the platform and its own page, and no web page of another site.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use engine_core::access::Scope;
use engine_core::mode::Mode;
use engine_core::wire::{
    AcceptedRollback, Anchor, ApprovedPlan, CreateToken, DeclareHold, DeclaredHold, DrillFaultKind,
    ForceMode, GivenAnchor, InjectFault, InvalidateContexts, PersonWantsMode, RevokeToken, StartUpkeep,
    TakeBackup, Teller, UpkeepTask, WantMode,
};
use serde_json::{Value, json};

use crate::process::{Answer, Client, JSON, Running, eventually};

/// Every route of the admin port, with a body if the route reads one.
fn routes() -> Vec<(&'static str, &'static str, String)> {
    let hold = json!({"mode": "read_write", "reason": "a test", "by": "a tester", "ttl_seconds": 60});
    let wanted = json!({"mode": "read_write", "told_by": {"uid": "u", "generation": 1}});
    let token = json!({
        "name": "a", "scopes": ["read"], "projects": ["notes"], "expires": "2100-01-01T00:00:00Z",
    });
    let reads =
        ["/", "/livez", "/readyz", "/health", "/health/models", "/metrics", "/metrics/json", "/config/env"];
    let more = [
        "/embedding",
        "/policy",
        "/checkpoint",
        "/log/lines",
        "/mode",
        "/tokens",
        "/backups",
        "/upkeep",
        "/canary",
        "/log/digest",
        "/log/root",
    ];
    let reads = reads.into_iter().chain(more);
    let mut routes: Vec<_> = reads.map(|path| ("GET", path, String::new())).collect();
    routes.extend(
        ["/rebuild", "/rotate", "/rotate-key", "/mode/clear", "/mode/reset", "/drill/fault/end"]
            .map(|path| ("POST", path, String::new())),
    );
    routes.extend([
        ("POST", "/backups", "{}".to_owned()),
        ("POST", "/upkeep", json!({"task": "rotate_log", "request": "r"}).to_string()),
        ("POST", "/anchor", "{}".to_owned()),
        ("POST", "/drill/fault", json!({"kind": "failure", "seconds": 1}).to_string()),
        ("PUT", "/mode/wanted", wanted.to_string()),
        ("PUT", "/mode/declared", json!({"hold": null}).to_string()),
        ("PUT", "/ticket", ticket().to_string()),
        ("PUT", "/canary", canary().to_string()),
        ("DELETE", "/canary", String::new()),
        (
            "POST",
            "/mode/want",
            json!({"mode": "read_write", "reason": "a test", "by": "a tester"}).to_string(),
        ),
        ("POST", "/mode/force", hold.to_string()),
        ("POST", "/mode/invalidate", json!({"session": "s"}).to_string()),
        ("POST", "/tokens", token.to_string()),
        ("POST", "/tokens/revoke", json!({"name": "nobody"}).to_string()),
    ]);
    routes
}

fn ticket() -> Value {
    json!({
        "challenge": "c", "told_by": {"uid": "u", "generation": 1}, "log_id": "l", "is_open": true, "ttl_seconds": 60,
        "on_expiry": "close", "checks": ["access"],
    })
}

fn canary() -> Value {
    json!({
        "revision": "r", "pod": "p", "api": "http://127.0.0.1:1", "readyz": "http://127.0.0.1:1/readyz",
        "reads": "off", "weight": 0, "floor": false, "pair_interval_ms": 1000,
        "rehearsal": {"since_seconds": 60, "questions": 1},
    })
}

fn start(data: &Path) -> Running {
    let config = data.join("config.yaml");
    let text = "engine: {namespace: team-a, name: notes}\nmcp: {allowedHosts: [memory.example.org]}\n";
    std::fs::write(&config, text).unwrap();
    let more: [&OsStr; 3] =
        ["--public-listen".as_ref(), "127.0.0.1:0".as_ref(), "--allow-drill-faults".as_ref()];
    let config: [&OsStr; 2] = ["--config".as_ref(), config.as_os_str()];
    let engine = Running::spawn_with(data, &[config.as_slice(), &more].concat());
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

/// Sends a request on a connection of its own, because a refused body may end the connection.
fn ask(engine: &Running, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut client = Client::connect(engine.admin).unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\ncontent-length: {length}\r\n{headers}\r\n");
    client.raw(format!("{head}{body}").as_bytes()).unwrap();
    client.answer().unwrap()
}

#[test]
fn every_route_of_the_admin_port_refuses_foreign_hosts_and_pages() {
    let data = tempfile::tempdir().unwrap();
    let engine = start(data.path());
    let key = || engine.admin("/checkpoint").json()["checkpoint"]["key"].clone();
    let first = key();
    for (method, path, body) in routes() {
        let status = |headers: &str| ask(&engine, method, path, &format!("{headers}{JSON}"), &body).status;
        for host in
            ["evil.example.org:8081", "notes.team-b", "127.0.0.1.example.org", "", "localhost.example.org"]
        {
            assert_eq!(status(&format!("host: {host}\r\n")), 403, "{method} {path} host {host:?}");
        }
        assert_eq!(status(""), 403, "{method} {path} without a host");
        for origin in
            ["http://evil.example.org", "null", "http://localhost:3000", "http://10.1.2.3:8081", "file://"]
        {
            let headers = format!("host: localhost:8081\r\norigin: {origin}\r\n");
            assert_eq!(status(&headers), 403, "{method} {path} origin {origin}");
        }
        for site in ["cross-site", "same-site"] {
            let headers = format!("host: localhost:8081\r\nsec-fetch-site: {site}\r\n");
            // A link on another page may lead to a report, which changes nothing.
            let is_refused = status(&headers) == 403;
            assert_eq!(is_refused, method != "GET", "{method} {path} sec-fetch-site {site}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let headers = format!("host: localhost\r\ncontent-type: {kind}\r\n");
            assert_eq!(ask(&engine, method, path, &headers, "{}").status, 415, "{method} {path} {kind}");
        }
        assert_eq!(ask(&engine, method, path, "host: localhost\r\n", "{}").status, 415, "{method} {path}");
    }
    let mode = engine.admin("/mode").json();
    assert_eq!((&mode["direct"], &mode["told_by"]), (&json!(null), &json!(null)));
    assert_eq!((key(), engine.health()["log"]["seq"].clone()), (first, json!(0)), "nothing was changed");
}

#[test]
fn every_route_of_the_admin_port_answers_the_platform_and_its_own_page() {
    let data = tempfile::tempdir().unwrap();
    let engine = start(data.path());
    for (method, path, body) in routes() {
        for headers in [
            "host: 10.1.2.3:8081\r\nuser-agent: kube-probe/1.34\r\n",
            "host: [fd00::7]:8081\r\n",
            "host: notes-headless.team-a.svc:8081\r\n",
            "host: notes.team-a.svc.cluster.local\r\n",
            "host: memory.example.org\r\n",
            "host: localhost:8081\r\norigin: http://localhost:8081\r\nsec-fetch-site: same-origin\r\n",
            "host: localhost:8081\r\nsec-fetch-site: none\r\n",
        ] {
            let kind = if body.is_empty() { "" } else { JSON };
            let answer = ask(&engine, method, path, &format!("{headers}{kind}"), &body);
            assert!(![403, 404, 405, 415].contains(&answer.status), "{method} {path} {headers}: {answer:?}");
        }
    }
    let refused = ask(&engine, "POST", "/mode/clear", "host: evil.example.org\r\n", "");
    assert_eq!(refused.code(), "FORBIDDEN");
    assert!(refused.body.contains("mcp.allowedHosts"), "{refused:?}");
    eventually("a refused change leaves an audit line", || {
        engine.said().lines().any(|line| line.contains("/mode/clear") && line.contains("\"status\":403"))
    });
}

#[test]
fn the_routes_above_are_all_routes() {
    let source = include_str!("../../src/api/mod.rs");
    let (_, source) = source.split_once("fn admin_routes(").unwrap();
    let served: BTreeSet<(String, &str)> = source
        .split(".route(\"")
        .skip(1)
        .map(|route| {
            let (path, handler) = route.split_once("\", ").unwrap();
            (handler.split('(').next().unwrap().to_uppercase(), path)
        })
        .collect();
    let tested = routes().into_iter().map(|(method, path, _)| (method.to_owned(), path)).collect();
    assert_eq!(served, tested);
}

/// The rows of a table of the reference page: the texts of its cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let page = include_str!("../../../docs/guide/admin.md");
    let section = page.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| "));
    lines.skip(1).map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// The words in a text that are marked as code.
fn codes(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_reference_page_lists_every_route() {
    let documented: BTreeSet<String> = rows("Requests")
        .iter()
        .flat_map(|row| codes(row[0]))
        .map(|request| request.split('?').next().unwrap().to_owned())
        .collect();
    let served = routes().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(documented, served);
}

/// The names of the fields of a body, those of inner objects with the name of the outer field.
fn fields(body: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, value) in body.as_object().unwrap() {
        // `hold` is a field of its own, because it can be null.
        if !value.is_object() || name == "hold" {
            names.insert(name.clone());
        }
        if value.is_object() {
            names.extend(fields(value).iter().map(|inner| format!("{name}.{inner}")));
        }
    }
    names
}

#[test]
fn the_reference_page_lists_every_field_of_a_body() {
    let (reason, by) = ("a test".to_owned(), "a tester".to_owned());
    let until = "2100-01-01T00:00:00Z".parse().unwrap();
    let hold = DeclaredHold { mode: Mode::ReadWrite, reason: reason.clone(), by: by.clone(), until };
    let told_by = Teller { uid: "u".to_owned(), generation: 1 };
    let root = || "0".repeat(64);
    let anchor = Anchor { origin: "o".to_owned(), size: 0, root: root(), rollbacks: 0 };
    let accepted = AcceptedRollback {
        number: 1,
        from_size: 1,
        from_root: root(),
        to_size: 0,
        to_root: root(),
        reason: "a test".to_owned(),
    };
    let wants = PersonWantsMode { mode: Mode::ReadWrite, reason: reason.clone(), by: by.clone() };
    let token = CreateToken {
        name: "a".to_owned(),
        scopes: vec![Scope::Read],
        projects: vec!["notes".to_owned()],
        expires: Some(until),
    };
    let plan = ApprovedPlan {
        plan_hash: root(),
        as_of: until,
        applied_seq: 1,
        override_spike_guard: Some(1),
        reason: reason.clone(),
        by: by.clone(),
    };
    let upkeep = StartUpkeep { task: UpkeepTask::ApplyRetention, request: "r".to_owned(), plan: Some(plan) };
    let force = ForceMode { mode: Mode::ReadWrite, reason, by, ttl_seconds: 60, replace: true };
    for (request, body) in [
        ("POST /mode/want", json!(wants)),
        ("POST /mode/force", json!(force)),
        ("POST /mode/invalidate", json!(InvalidateContexts { session: "s".to_owned() })),
        ("POST /drill/fault", json!(InjectFault { kind: DrillFaultKind::Failure, seconds: 1 })),
        ("POST /backups", json!(TakeBackup { request: Some("r".to_owned()), keep: None })),
        ("POST /upkeep", json!(upkeep)),
        ("POST /tokens", json!(token)),
        ("POST /tokens/revoke", json!(RevokeToken { name: "a".to_owned() })),
        ("PUT /mode/wanted", json!(WantMode { mode: Mode::ReadWrite, told_by })),
        ("PUT /mode/declared", json!(DeclareHold { hold: Some(hold) })),
        ("PUT /ticket", ticket()),
        ("PUT /canary", canary()),
        ("POST /anchor", json!(GivenAnchor::Known { anchor, accepted: Some(accepted) })),
    ] {
        let documented: BTreeSet<String> = rows("Bodies")
            .iter()
            .filter(|row| codes(row[0]) == [request])
            .map(|row| codes(row[1])[0].to_owned())
            .collect();
        assert_eq!(documented, fields(&body), "{request}");
    }
}
