//! Modes and the guard: what clients may do, and how reads are turned off and on.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mcp::call;
use crate::process::{Answer, Client, JSON, Running, binary, eventually};
use crate::services::Service;

/// A guard whose holds are short enough for a test.
const GUARD: &str =
    "guard: {holdSeconds: 1, holdMaxSeconds: 2, probeIntervalMillis: 10, probeBudgetMillis: 1000}\n";

pub(crate) fn start(data: &Path, config: &str, more: &[&str]) -> Running {
    let path = data.join("config.yaml");
    fs::write(&path, config).unwrap();
    let mut arguments = vec!["--config".as_ref(), path.as_os_str()];
    arguments.extend(more.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
    let engine = Running::spawn_with(data, &arguments);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

fn embedding(service: &Service) -> String {
    let url = format!("http://{}/v1/embeddings", service.address);
    format!("embedding: {{provider: http, url: '{url}', model: small, queryTimeoutMillis: 300}}\n")
}

pub(crate) fn put(engine: &Running, path: &str, body: &Value) -> Answer {
    Client::connect(engine.admin).unwrap().request("PUT", path, JSON, &body.to_string()).unwrap()
}

pub(crate) fn force(engine: &Running, mode: &str, ttl: u64) -> Answer {
    let body = json!({"mode": mode, "reason": "a test", "by": "a tester", "ttl_seconds": ttl});
    engine.admin_post("/mode/force", &body.to_string())
}

pub(crate) fn mode(engine: &Running) -> Value {
    engine.admin("/mode").json()
}

pub(crate) fn want(engine: &Running, mode: &str, generation: i64) -> Answer {
    put(engine, "/mode/wanted", &json!({"mode": mode, "told_by": {"uid": "u", "generation": generation}}))
}

/// The document's example of an operation, as method, path, headers and body.
pub(crate) fn example(
    path: &str,
    method: &str,
    operation: &Value,
    id: &str,
) -> (String, String, String, String) {
    let (mut path, mut query, mut headers) = (path.to_owned(), Vec::new(), String::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let example = &parameter["example"];
        let value = example.as_str().map_or_else(|| example.to_string(), |text| text.replace(' ', "+"));
        match parameter["in"].as_str().unwrap() {
            "path" => path = path.replace("{id}", id).replace("{seq}", "1"),
            "query" if name == "as_of" || name == "known_at" || example.is_array() => {}
            "query" => query.push(format!("{name}={value}")),
            _ => headers.push_str(&format!("{name}: {value}\r\n")),
        }
    }
    let body = &operation["requestBody"]["content"]["application/json"]["example"];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    (method.to_uppercase(), format!("{path}?{}", query.join("&")), headers, body)
}

/// Every route of the API in every mode: it is refused exactly if the document says that it reads or writes.
#[test]
fn each_mode_allows_what_the_document_says() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let id = engine.save("x").json()["id"].as_str().unwrap().to_owned();
    let document = engine.get("/v1/openapi.json").json();
    for (word, reads, writes) in [
        ("off", false, false),
        ("write_only", false, true),
        ("read_only", true, false),
        ("read_write", true, true),
    ] {
        assert_eq!(force(&engine, word, 60).status, 200);
        let mut refused = (0, 0);
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let outages = operation["responses"]["503"].to_string();
                let (remembers, changes) = (outages.contains("READS_OFF"), outages.contains("WRITES_OFF"));
                let (method, target, headers, body) = example(path, method, operation, &id);
                let answer = engine.connect().request(&method, &target, &headers, &body).unwrap();
                let code = if answer.status < 400 { String::new() } else { answer.code() };
                let context = format!("{word}: {method} {target} {answer:?}");
                assert!(code != "READS_OFF" || !reads && remembers, "{context}");
                assert!(code != "WRITES_OFF" || !writes && changes, "{context}");
                // The memory tool reads or writes, depending on its command.
                if remembers && !reads && !(path.contains("anthropic") && writes) {
                    assert!(code == "READS_OFF" || code == "WRITES_OFF", "{context}");
                    if code == "READS_OFF" {
                        let told = answer.json();
                        assert_eq!(told["used"], false, "{context}");
                        assert_eq!(told["source"], format!("{word}_forced"), "{context}");
                        assert_eq!(told["reason"], "manual", "{context}");
                        assert!(told["until"].is_string() && answer.has_header("retry-after: "), "{context}");
                    }
                    refused.0 += 1;
                }
                if changes && !writes && !remembers {
                    assert_eq!(code, "WRITES_OFF", "{context}");
                    refused.1 += 1;
                }
            }
        }
        assert!((reads || refused.0 >= 18) && (writes || refused.1 >= 19), "{word}: {refused:?}");
    }
}

/// A dry run of forgetting and a plan of retention tell what is there.
#[test]
fn what_only_looks_at_what_would_be_removed_is_a_read() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let id = engine.save("x").json()["id"].clone();
    for (word, reads, writes) in [
        ("off", false, false),
        ("write_only", false, true),
        ("read_only", true, false),
        ("read_write", true, true),
    ] {
        force(&engine, word, 60);
        let forget = |dry_run: bool| {
            let body = json!({"ids": [id], "reason": "a test", "dry_run": dry_run});
            engine.post("/v1/forget", "", &body.to_string())
        };
        let plan = engine.post("/v1/retention/plan", "", r#"{"rules": {"max_age_days": 1}}"#);
        for (what, answer) in [("dry run", forget(true)), ("plan", plan)] {
            assert_eq!(answer.status, if reads { 200 } else { 503 }, "{word}: {what} {answer:?}");
            assert!(reads || answer.code() == "READS_OFF", "{word}: {what} {answer:?}");
        }
        if !writes {
            assert_eq!(forget(false).code(), "WRITES_OFF", "{word}");
        }
    }
    force(&engine, "write_only", 60);
    let body = json!({"ids": [id], "reason": "a test", "dry_run": false});
    assert_eq!(engine.post("/v1/forget", "", &body.to_string()).status, 200, "forgetting is a write");
}

#[test]
fn mcp_tools_say_that_reads_are_off() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let id = engine.save("the kettle is blue").json()["id"].clone();
    let reads = [
        ("memory_search", json!({"query": "kettle"})),
        ("memory_get", json!({"id": id})),
        ("memory_checkout", json!({"query": "kettle"})),
        ("memory_as_of", json!({"query": "kettle", "as_of": "2030-01-01T00:00:00Z"})),
        ("memory_timeline", json!({"id": id})),
        ("memory_explain", json!({"query": "kettle"})),
        ("memory_forget", json!({"ids": [id], "reason": "a test"})),
    ];
    let writes = [
        ("memory_save", json!({"content": "another"})),
        ("memory_feedback", json!({"id": id, "useful": true})),
        ("memory_invalidate", json!({"id": id})),
        ("memory_forget", json!({"ids": [id], "reason": "a test", "dry_run": false})),
    ];
    force(&engine, "off", 60);
    for (tools, code) in [(&reads[..], "READS_OFF"), (&writes[..], "WRITES_OFF")] {
        for (tool, arguments) in tools {
            let result = call(&engine, tool, arguments);
            let text = result["content"][0]["text"].as_str().unwrap_or_default();
            assert!(result["isError"] == true && text.starts_with(code), "{tool}: {result}");
            if code == "READS_OFF" {
                assert_eq!(result["structuredContent"]["used"], false, "{tool}: {result}");
            }
        }
    }
    for tool in ["memory_status", "memory_proof"] {
        let arguments = if tool == "memory_proof" { json!({"seq": 1}) } else { json!({}) };
        assert_eq!(call(&engine, tool, &arguments)["isError"], false, "{tool}");
    }
}

#[test]
fn the_first_start_under_an_operator_accepts_writes_until_a_mode_is_said() {
    let data = tempfile::tempdir().unwrap();
    let anchor = data.path().join("anchor.json");
    fs::write(&anchor, r#"{"state": "new"}"#).unwrap();
    let anchor = anchor.to_str().unwrap();
    let engine = start(data.path(), "{}", &["--anchor", anchor]);
    assert_eq!(engine.admin("/readyz?for=writes").status, 200);
    assert_eq!(engine.admin("/readyz?for=reads").status, 503);
    assert_eq!(engine.save("x").status, 201);
    let refused = engine.get("/v1/search?q=x");
    assert_eq!((refused.status, refused.json()["source"].as_str().unwrap()), (503, "write_only"));
    assert!(!refused.has_header("retry-after"), "nobody knows when: {refused:?}");
    assert_eq!(mode(&engine)["told_by"], Value::Null);

    assert_eq!(want(&engine, "read_write", 2).status, 200);
    let readable = |engine: &Running| {
        eventually("reads work", || engine.admin("/readyz?for=reads").status == 200);
    };
    readable(&engine);
    assert_eq!(engine.total("q=x"), 1);
    assert_eq!(engine.health()["log"]["seq"], 1, "the first word about the mode is no event");
    assert_eq!(want(&engine, "off", 1).status, 409, "an older generation");
    engine.kill();
    let engine = start(data.path(), "{}", &["--anchor", anchor]);
    readable(&engine);
    assert_eq!(engine.total("q=x"), 1, "without another word");
    want(&engine, "read_only", 3);
    let health = engine.health();
    assert_eq!((&health["mode"]["effective"], &health["status"]), (&json!("read_only"), &json!("ok")));
    assert_eq!(engine.save("y").code(), "WRITES_OFF");
}

#[test]
fn a_hold_that_is_not_valid_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let valid = json!({"mode": "off", "reason": "a test", "by": "a tester", "ttl_seconds": 60});
    let secret = concat!("ghp_", "0123456789abcdefghijABCDEFGHIJ012345");
    for (field, value) in [
        ("mode", json!("closed")),
        ("reason", json!(" ")),
        ("reason", json!("x".repeat(501))),
        ("reason", json!("a\nb")),
        ("reason", json!(format!("because of {secret}"))),
        ("by", json!("")),
        ("ttl_seconds", json!(0)),
        ("ttl_seconds", json!(86_401)),
        ("unknown", json!(1)),
    ] {
        let mut body = valid.clone();
        body[field] = value;
        let refused = engine.admin_post("/mode/force", &body.to_string());
        assert!(refused.status == 400 || refused.status == 422, "{body}: {refused:?}");
        assert!(!refused.body.contains(secret), "{refused:?}");
    }
    let report = mode(&engine);
    assert_eq!((&report["effective"], &report["transitions"]), (&json!("read_write"), &json!([])));
    assert!(!engine.said().contains(secret));
}

/// Takes the embedding service through everything that can go wrong with it.
#[test]
fn reads_are_turned_off_and_on_by_what_a_service_does() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let engine = start(data.path(), &(embedding(&service) + GUARD), &[]);
    engine.save("the zorbl is in the shed");
    eventually("it has a vector", || engine.admin("/embedding").json()["embedded"] == 1);
    let effective = || mode(&engine)["effective"].clone();
    let mut number = 0;
    let mut read = || {
        number += 1;
        engine.get(&format!("/v1/search?q=florpish+{number}")).status
    };
    assert_eq!(read(), 200);
    type Change = fn(&Service);
    let cases: [(&str, Change, usize); 7] = [
        ("embedding_authentication_failed", |service| service.set_status(401), 1),
        ("embedding_consecutive_failures", |service| service.set_status(502), 3),
        // The service demands a pause as long as a hold.
        ("embedding_rate_limited", |service| service.set_status(429), 1),
        // What a wrong name of a model is answered with, confirmed by a probe.
        ("embedding_requests_refused", |service| service.set_status(400), 20),
        ("embedding_consecutive_failures", |service| service.set_down(true), 3),
        ("embedding_consecutive_failures", |service| service.hold(Some("small")), 3),
        ("embedding_consecutive_failures", |service| service.set_wide(true), 3),
    ];
    for (reason, breaks, reads_max) in cases {
        breaks(&service);
        let mut reads = 0;
        let broken = Instant::now();
        while effective() == "read_write" {
            let status = read();
            reads += usize::from(status == 200);
            assert!(broken.elapsed() < Duration::from_secs(20), "{reason}: reads are still on");
        }
        assert!((1..=reads_max).contains(&reads), "{reason}: {reads} reads");
        let refused = engine.get("/v1/search?q=florpish");
        assert_eq!((refused.status, refused.json()["reason"].as_str().unwrap()), (503, reason));
        assert_eq!(engine.save(reason).status, 201, "writes go on");
        assert_eq!(engine.admin("/readyz").status, 200);
        // A probe fails while the service does.
        eventually("a probe failed", || {
            let report = mode(&engine);
            report["transitions"].as_array().unwrap().iter().any(|step| step["because"] == "a probe failed")
        });
        assert_eq!(effective(), "write_only");
        service.set_status(0);
        service.set_down(false);
        service.hold(None);
        service.set_wide(false);
        eventually("reads are on", || effective() == "read_write");
        eventually("nothing is left of it", || engine.admin("/embedding").json()["failure"].is_null());
        assert_eq!(read(), 200);
    }
    replay_equals_what_was_seen(&engine, data.path());
}

/// Every mode that was shown is derived from the log again.
fn replay_equals_what_was_seen(engine: &Running, data: &Path) {
    let transitions = mode(engine)["transitions"].as_array().unwrap().clone();
    assert!(transitions.len() >= 12, "{transitions:?}");
    let recorded = || {
        let events = engine.get("/v1/events?type=guard.transition&limit=1000").json();
        events["events"].as_array().unwrap().len()
    };
    eventually("everything is recorded", || recorded() == transitions.len());
    for step in &transitions {
        let at = step["at"].as_str().unwrap();
        let output = binary().args(["guard", "replay", "--at", at, "--data"]).arg(data).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&replayed["mode"], &replayed["state"]),
            (&step["to"], &step["state"]),
            "{step} {replayed}"
        );
        assert_eq!(replayed["differing"], json!([]));
        assert_eq!(replayed["decided_again"], transitions.len());
    }
}

#[test]
fn a_slow_service_is_confirmed_by_a_probe_and_a_slow_request_is_not() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let guard = "guard: {holdSeconds: 1, slowMillis: 100, probeIntervalMillis: 10, probeBudgetMillis: 150}\n";
    let config = format!("{}{guard}", embedding(&service).replace("300}", "2000}"));
    let engine = start(data.path(), &config, &[]);
    engine.save("the zorbl is in the shed");
    eventually("it has a vector", || engine.admin("/embedding").json()["embedded"] == 1);
    service.set_delay(Duration::from_millis(250));
    for number in 0..6 {
        engine.get(&format!("/v1/search?q=florpish+{number}"));
    }
    eventually("reads are off", || mode(&engine)["effective"] == "write_only");
    let refused = engine.get("/v1/search?q=florpish").json();
    assert_eq!(refused["reason"], "embedding_slow");
    service.set_delay(Duration::ZERO);
    eventually("reads are on", || mode(&engine)["effective"] == "read_write");
}

/// The dimension is that of the stored vectors, whatever the service answers first after a start.
#[test]
fn another_dimension_after_a_start_is_a_failure_of_the_service() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let config = embedding(&service) + GUARD;
    let engine = start(data.path(), &config, &[]);
    engine.save("the zorbl is in the shed");
    let status = |engine: &Running| engine.admin("/embedding").json();
    eventually("it has a vector", || status(&engine)["embedded"] == 1);
    let dimension = status(&engine)["dimension"].clone();
    engine.kill();
    service.set_wide(true);
    let engine = start(data.path(), &config, &[]);
    eventually("the stored vectors say it", || status(&engine)["dimension"] == dimension);
    eventually("they are counted", || status(&engine)["embedded"] == 1);
    engine.save("the quux is in the attic");
    eventually("no vector is stored", || {
        status(&engine)["failure"].as_str().is_some_and(|text| text.contains("another dimension"))
    });
    assert_eq!((&status(&engine)["dimension"], &status(&engine)["embedded"]), (&dimension, &json!(1)));
    eventually("reads are off", || {
        engine.get("/v1/search?q=florpish");
        mode(&engine)["effective"] == "write_only"
    });
    service.set_wide(false);
    eventually("reads are on", || mode(&engine)["effective"] == "read_write");
    eventually("both have vectors", || status(&engine)["embedded"] == 2);
}

/// With these times a probe would never pass within its own budget.
#[test]
fn what_is_not_slow_passes_a_probe() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let guard = "guard: {holdSeconds: 1, slowMillis: 2000, probeIntervalMillis: 10, probeBudgetMillis: 50}\n";
    let config = format!("{}{guard}", embedding(&service).replace("300}", "2000}"));
    let engine = start(data.path(), &config, &[]);
    engine.save("the zorbl is in the shed");
    eventually("it has a vector", || engine.admin("/embedding").json()["embedded"] == 1);
    service.set_status(401);
    let mut number = 0;
    // Searches use the model a moment after it has embedded everything.
    eventually("reads are off", || {
        number += 1;
        engine.get(&format!("/v1/search?q=florpish+{number}"));
        mode(&engine)["effective"] == "write_only"
    });
    service.set_status(0);
    service.set_delay(Duration::from_millis(150));
    eventually("reads are on", || mode(&engine)["effective"] == "read_write");
}

#[test]
fn a_service_that_hangs_costs_a_reader_its_time_limit_only() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let engine = start(data.path(), &(embedding(&service) + "guard: {enabled: false}\n"), &[]);
    engine.save("the zorbl is in the shed");
    eventually("it has a vector", || engine.admin("/embedding").json()["embedded"] == 1);
    let mut plain = Duration::MAX;
    for number in 0..5 {
        let started = Instant::now();
        engine.get(&format!("/v1/search?mode=lexical&q=shed+{number}"));
        plain = plain.min(started.elapsed());
    }
    service.hold(Some("small"));
    let mut hung = Duration::MAX;
    // The fastest of several shows the cost without that of a busy machine.
    for number in 0..10 {
        let started = Instant::now();
        engine.get(&format!("/v1/search?q=florpish+{number}"));
        hung = hung.min(started.elapsed());
    }
    service.hold(None);
    println!("a search {plain:?}, with a service that hangs {hung:?}, of which 300 ms are its time limit");
    assert!(hung < plain + Duration::from_millis(310), "{plain:?} {hung:?}");
}

#[test]
fn the_gauge_is_the_mode() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let shown = || {
        let metrics = engine.admin("/metrics").body;
        let set = metrics.lines().filter(|line| line.starts_with("memory_mode{") && line.ends_with(" 1"));
        set.map(|line| line.split("mode=\"").nth(1).unwrap().split('"').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for word in ["off", "write_only", "read_only", "read_write"] {
        force(&engine, word, 60);
        assert_eq!(shown(), [word]);
    }
    force(&engine, "off", 1);
    sleep(Duration::from_millis(1_100));
    assert_eq!(shown(), ["read_write"]);
}
