//! Client requests of all kinds, from useful ones to attacks.

use serde_json::json;

use crate::process::{Answer, Running};

#[test]
fn what_is_saved_is_read_found_and_cited() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let body = json!({
        "content": "The kettle is blue. Ünïcode 🦀 stays.", "title": "Kettle", "project": "kitchen", "type": "fact",
        "tags": ["colour"], "session": "s-1", "actor": "ana", "occurred_at": "2026-01-02T03:04:05Z",
    });
    let saved = engine.post("/v1/memories", "content-type: application/json\r\n", &body.to_string());
    assert_eq!(saved.status, 201, "{saved:?}");
    let saved = saved.json();
    let (id, seq, hash) = (saved["id"].as_str().unwrap(), &saved["seq"], saved["hash"].as_str().unwrap());

    let read = engine.get(&format!("/v1/memories/{id}")).json();
    for (field, value) in body.as_object().unwrap() {
        assert_eq!(&read[field], value, "{field}");
    }
    assert_eq!((&read["seq"], read["hash"].as_str().unwrap()), (seq, hash));

    let found = engine.get("/v1/search?q=unicode+KETTLE&project=kitchen&type=fact").json();
    let item = &found["items"][0];
    assert_eq!((&found["total"], &item["id"]), (&json!(1), &saved["id"]));
    assert_eq!(item["citation"], format!("{seq}:{}", &hash[..12]));
    assert!(item["score"].as_f64().unwrap() > 0.0 && item["snippet"].as_str().unwrap().contains("kettle"));
    assert_eq!(engine.total("q=kettle&project=other"), 0);
    assert_eq!(engine.get("/v1/log/head").json()["hash"].as_str(), Some(hash));
}

#[test]
fn events_are_kept_as_they_came() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let body = r#"{"events":[{"type":"task.proposed","actor":"p","payload":{"n":1.50,"b":1,"a":2}},{"type":"t","payload":{}}]}"#;
    let appended = engine.post("/v1/events", "", body);
    assert_eq!(appended.status, 201, "{appended:?}");
    assert_eq!((&appended.json()["first_seq"], &appended.json()["last_seq"]), (&json!(1), &json!(2)));
    for n in 3..=150 {
        assert_eq!(engine.save(&format!("memory {n}")).json()["seq"], n);
    }
    let page = engine.get("/v1/events?limit=2");
    assert!(page.body.contains(r#""payload":{"n":1.50,"b":1,"a":2}"#), "{page:?}");
    assert_eq!(page.json()["head_seq"], 150);
    for after in [0, 1, 63, 64, 65, 127, 148, 149, 150, 151] {
        let page = engine.get(&format!("/v1/events?after={after}&limit=1000")).json();
        let seqs: Vec<u64> =
            page["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (after + 1..=150).collect::<Vec<u64>>(), "after {after}");
    }
}

#[test]
fn a_key_makes_two_requests_one() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = Running::start(data.path());
    let key = "idempotency-key: order 66\r\n";
    let batch_key = "idempotency-key: batch\r\n";
    let body = r#"{"content":"once","title":"t"}"#;
    let batch = r#"{"events":[{"type":"a","payload":{}},{"type":"b","payload":{}}]}"#;
    let first = engine.post("/v1/memories", key, body);
    let first_batch = engine.post("/v1/events", batch_key, batch);
    assert_eq!((first.status, first_batch.status), (201, 201));
    assert!(!first.has_header("idempotency-replayed"));
    for restart in 0..4 {
        let again = engine.post("/v1/memories", key, "{ \"title\": \"t\", \"content\": \"once\" }");
        assert_eq!((again.status, &again.body), (200, &first.body), "restart {restart}");
        assert!(again.has_header("idempotency-replayed: true"));
        assert_eq!(engine.post("/v1/events", batch_key, batch).body, first_batch.body);
        let other = engine.post("/v1/memories", key, r#"{"content":"twice"}"#);
        assert_eq!((other.status, other.code().as_str()), (422, "IDEMPOTENCY_CONFLICT"));
        let other_path = engine.post("/v1/events", key, batch);
        assert_eq!(other_path.code(), "IDEMPOTENCY_CONFLICT");
        assert_eq!(engine.total(""), 1);
        if restart == 2 {
            engine.kill();
            std::fs::remove_dir_all(data.path().join("projection")).unwrap();
        } else {
            engine.kill();
        }
        engine = Running::start(data.path());
    }
}

#[test]
fn one_key_from_many_clients_is_one_memory() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let mut bodies = std::thread::scope(|scope| {
        let save = || engine.post("/v1/memories", "idempotency-key: same\r\n", r#"{"content":"once"}"#).body;
        let clients: Vec<_> = (0..16).map(|_| scope.spawn(save)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(engine.total(""), 1);
}

#[test]
fn what_breaks_a_rule_is_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let content = |n: usize| json!({"content": "x".repeat(n)}).to_string();
    let title = |n: usize| json!({"content": "x", "title": "é".repeat(n)}).to_string();
    let deep = format!(r#"{{"content":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    let events = |n: usize| json!({"events": vec![json!({"type": "t", "payload": {}}); n]}).to_string();
    let posts = [
        ("/v1/memories", content(1 << 20), 201, ""),
        ("/v1/memories", content((1 << 20) + 1), 413, "PAYLOAD_TOO_LARGE"),
        ("/v1/memories", content(9 << 20), 413, "PAYLOAD_TOO_LARGE"),
        ("/v1/memories", title(120), 201, ""),
        ("/v1/memories", title(121), 400, "INVALID_ARGUMENT"),
        ("/v1/memories", r#"{"content":"x","nope":1}"#.into(), 400, "INVALID_ARGUMENT"),
        ("/v1/memories", r#"{"content":"x","content":"y"}"#.into(), 400, "INVALID_ARGUMENT"),
        ("/v1/memories", r#"{"content":"x"} y"#.into(), 400, "INVALID_ARGUMENT"),
        ("/v1/memories", r#"{"content":"#.into(), 400, "INVALID_ARGUMENT"),
        ("/v1/memories", String::new(), 400, "INVALID_ARGUMENT"),
        ("/v1/memories", deep, 400, "INVALID_ARGUMENT"),
        ("/v1/events", events(1000), 201, ""),
        ("/v1/events", events(1001), 400, "INVALID_ARGUMENT"),
        ("/v1/events", events(0), 400, "INVALID_ARGUMENT"),
        ("/v1/search", "{}".into(), 405, "METHOD_NOT_ALLOWED"),
        ("/v2/search", "{}".into(), 404, "NOT_FOUND"),
    ];
    for (path, body, status, code) in posts {
        let answer = engine.post(path, "", &body);
        assert_eq!(answer.status, status, "{path} {:.80}: {:.300}", body, answer.body);
        if !code.is_empty() {
            assert_eq!(answer.code(), code);
            let hint = &answer.json()["error"]["hint"];
            assert!(!hint.as_str().unwrap().is_empty(), "the remedy: {}", answer.body);
        }
    }
    let headers = [
        ("content-type: text/plain\r\n", 415),
        ("content-type: application/json; charset=utf-8\r\n", 201),
        ("idempotency-key: \r\n", 400),
        ("idempotency-key: a\r\nidempotency-key: a\r\n", 400),
    ];
    for (header, status) in headers {
        assert_eq!(engine.post("/v1/memories", header, r#"{"content":"x"}"#).status, status, "{header}");
    }
}

#[test]
fn parameters_are_refused_by_name() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let q = |n: usize| format!("/v1/search?q={}", "%F0%9F%A6%80".repeat(n));
    let gets = [
        (q(4096), 200),
        (q(4097), 400),
        ("/v1/search?limit=1000&offset=100000".into(), 200),
        ("/v1/search?limit=0".into(), 400),
        ("/v1/search?limit=1001".into(), 400),
        ("/v1/search?limit=-1".into(), 400),
        ("/v1/search?offset=100001".into(), 400),
        ("/v1/search?nope=1".into(), 400),
        ("/v1/search?q=a&q=b".into(), 400),
        ("/v1/search?q=%FF".into(), 400),
        (format!("/v1/search?project={}", "p".repeat(65)), 400),
        ("/v1/events?after=x".into(), 400),
        ("/v1/events?limit=1001".into(), 400),
        ("/v1/memories/nope".into(), 404),
        ("/v1/memories/0123456789abcdef0123456789abcdef".into(), 404),
        ("/v1/memories/%00".into(), 404),
        ("/v1/memories/%FF".into(), 404),
    ];
    for (path, status) in gets {
        let answer = engine.get(&path);
        assert_eq!(answer.status, status, "{:.80}: {:.300}", path, answer.body);
    }
    assert_eq!(engine.get("/v1/memories/nope").code(), "ENTRY_NOT_FOUND");
}

#[test]
fn no_query_is_an_operator_or_an_error() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("it's \"quoted\" OR not: node-7 AND C:\\temp (see) * NEAR");
    let many = vec!["w"; 2048].join("+");
    let words = [
        ("quoted", 1),
        ("%22quoted", 1),
        ("%22", 0),
        ("OR", 1),
        ("AND+NOT", 1),
        ("NEAR(", 1),
        ("node-7", 1),
        ("7-node", 0),
        ("C:%5Ctemp", 1),
        ("content:quoted", 0),
        ("*", 0),
        ("quo*", 0),
        ("-quoted", 1),
        ("^quoted", 1),
        ("%00", 0),
        ("quoted%00see", 1),
        ("%F0%9F%A6%80", 0),
        ("';DROP+TABLE+memories;--", 0),
        ("%CC%81", 0),
        ("%E2%80%8D%E2%80%8Bquoted", 1),
        ("(((((((((", 0),
        (many.as_str(), 0),
    ];
    for (query, total) in words {
        let answer = engine.get(&format!("/v1/search?mode=lexical&q={query}"));
        assert_eq!(answer.status, 200, "{query:.60}: {}", answer.body);
        assert_eq!(answer.json()["total"], total, "{query:.60}");
    }
    assert_eq!(engine.total(""), 1);
    assert_eq!(engine.health()["projection"]["state"], "ready");
}

#[test]
fn the_admin_port_reports_and_measures() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("x");
    engine.get("/v1/search?q=x");
    engine.get("/nope");
    let health: engine_core::wire::Health = serde_json::from_value(engine.health()).unwrap();
    assert_eq!((health.log.seq, health.projection.lag, health.storage.writable), (1, 0, true));
    assert_eq!(health.log.hash.len(), 64);
    let metrics = engine.admin("/metrics").body;
    for line in [
        "memory_appends_total{engine=\"\"} 1",
        "memory_log_head_seq{engine=\"\"} 1",
        "memory_projection_lag_events{engine=\"\"} 0",
        "memory_queries_total{operation=\"search\",engine=\"\"} 1",
        "memory_http_requests_total{code=\"201\",route=\"/v1/memories\",engine=\"\"} 1",
        "memory_http_requests_total{code=\"404\",route=\"none\",engine=\"\"} 1",
        "memory_log_sync_seconds_count{engine=\"\"} 1",
        "memory_append_seconds_count{engine=\"\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert_eq!(engine.admin("/livez").status, 200);
    assert_eq!(engine.get("/health").status, 404, "the clients' port has no admin routes");
}

/// One memory that repeats a word must not slow down searches for that word.
#[test]
fn a_word_repeated_a_hundred_thousand_times_is_found_at_once() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for _ in 0..3 {
        assert_eq!(engine.save(&"echo ".repeat(100_000)).status, 201);
    }
    let started = std::time::Instant::now();
    assert_eq!(engine.total("q=echo+echo"), 3);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

/// Slow senders of large bodies use up only the capacity for large bodies.
#[test]
fn large_bodies_are_bounded_together_and_small_ones_go_on() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let megabytes = 8 << 20;
    let head = format!("POST /v1/memories HTTP/1.1\r\nhost: e\r\ncontent-length: {megabytes}\r\n\r\n");
    let mut slow: Vec<_> = (0..8).map(|_| engine.connect()).collect();
    for client in &mut slow {
        client.raw(head.as_bytes()).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let refused = engine.post("/v1/memories", "", &" ".repeat(megabytes));
    assert_eq!((refused.status, refused.code().as_str()), (503, "OVERLOADED"));
    assert!(refused.has_header("retry-after: 1"));
    assert_eq!(engine.save("small").status, 201);
    drop(slow);
    crate::process::eventually("there is capacity again", || {
        engine.post("/v1/memories", "", &" ".repeat(megabytes)).status == 400
    });
}

#[test]
fn no_word_of_a_memory_and_no_key_is_logged() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    std::fs::write(&config, "log: {level: trace}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    crate::process::eventually("ready", || engine.admin("/readyz").status == 200);
    let body = r#"{"content":"canary-content","title":"canary-title","tags":["canary-tag"],"project":"canary-project"}"#;
    engine.post("/v1/memories", "idempotency-key: canary-key\r\n", body);
    engine.post("/v1/memories", "", r#"{"content":"canary","canary-field":1}"#);
    engine.post("/v1/events", "", r#"{"events":[{"type":"t","payload":"canary"}]}"#);
    assert_eq!(engine.total("q=canary"), 1);
    crate::process::eventually("the log is read", || engine.said().contains("/v1/search"));
    assert!(!engine.said().contains("canary"), "{}", engine.said());
}

/// Right after the response to a save, the projection may not contain the event yet.
#[test]
fn a_memory_reads_at_once_as_it_does_later() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Running::start(directory.path());
    let (mut client, mut early) = (engine.connect(), Vec::new());
    for n in 0..300 {
        let mut memory =
            json!({ "content": format!("the kettle is number {n} \u{2615}\n\"quoted\""), "project": "p" });
        let more = [
            ("title", json!("A title")),
            ("tags", json!(["b", "a"])),
            ("occurred_at", json!("2024-05-01T10:00:00.123456789Z")),
            ("valid_from", json!("2020-01-01T00:00:00.987654321Z")),
            ("session", json!("s")),
            ("actor", json!("ana")),
            ("entities", json!(["Kettle"])),
            ("valid_from", json!("2990-01-01T00:00:00Z")),
        ];
        for (place, (name, value)) in more.into_iter().enumerate() {
            if n >> place & 1 == 1 {
                memory[name] = value;
            }
        }
        let saved = client.request("POST", "/v1/memories", "", &memory.to_string()).unwrap();
        assert_eq!(saved.status, 201, "{saved:?}");
        let id = saved.json()["id"].as_str().unwrap().to_owned();
        let read = client.request("GET", &format!("/v1/memories/{id}"), "", "").unwrap();
        early.push((id, saved.json()["seq"].as_u64().unwrap(), read));
    }
    let without = |answer: &Answer| {
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("applied_seq");
        (answer.status, body)
    };
    for (id, seq, read) in &early {
        let later = engine.get(&format!("/v1/memories/{id}"));
        assert_eq!(without(read), without(&later));
        assert!(read.status != 200 || read.json()["applied_seq"].as_u64().unwrap() >= *seq);
    }
    let metrics = engine.admin("/metrics").body;
    let fresh = metrics.lines().find(|line| line.contains("outcome=\"fresh\"")).unwrap_or_default();
    assert!(
        fresh.split(' ').next_back().is_some_and(|count| count.parse::<f64>().unwrap() >= 1.0),
        "{fresh:?}"
    );
    // An end of validity that is not applied to the projection yet must already be effective.
    for _ in 0..50 {
        let saved =
            client.request("POST", "/v1/memories", "", r#"{"content":"short-lived"}"#).unwrap().json();
        let path = format!("/v1/memories/{}", saved["id"].as_str().unwrap());
        let ended = client.request("POST", &format!("{path}/invalidate"), "", "{}").unwrap();
        assert_eq!(ended.status, 201, "{ended:?}");
        assert_eq!(client.request("GET", &path, "", "").unwrap().code(), "ENTRY_NOT_VALID");
    }
}
