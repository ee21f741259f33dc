//! Valid time of memories, and the time at which the engine knew them.

use serde_json::{Value, json};

use crate::process::{Answer, Running};

fn save(engine: &Running, body: &Value) -> String {
    let saved = engine.post("/v1/memories", "", &body.to_string());
    assert_eq!(saved.status, 201, "{saved:?}");
    saved.json()["id"].as_str().unwrap().to_owned()
}

fn end(engine: &Running, id: &str, headers: &str, body: &Value) -> Answer {
    engine.post(&format!("/v1/memories/{id}/invalidate"), headers, &body.to_string())
}

#[test]
fn what_stopped_being_true_is_found_in_its_time_only() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = Running::start(data.path());
    let old =
        json!({"content": "the kettle is blue", "project": "kitchen", "valid_from": "2026-01-01T00:00:00Z"});
    let blue = save(&engine, &old);
    let red = save(&engine, &json!({"content": "the kettle is red", "project": "kitchen"}));
    let ending = json!({"valid_until": "2026-03-01T00:00:00Z", "reason": "painted", "superseded_by": red});
    let ended = end(&engine, &blue, "", &ending);
    assert_eq!((ended.status, &ended.json()["seq"]), (201, &json!(3)), "{ended:?}");
    let by = ended.json()["id"].clone();

    for restart in 0..2 {
        let path = format!("/v1/memories/{blue}");
        let now = engine.get(&path);
        assert_eq!((now.status, now.code().as_str()), (404, "ENTRY_NOT_VALID"), "restart {restart}");
        assert!(now.body.contains("until 2026-03-01T00:00:00Z"), "{now:?}");
        let then = engine.get(&format!("{path}?as_of=2026-02-01T00:00:00Z")).json();
        let validity = json!({"from": "2026-01-01T00:00:00Z", "until": "2026-03-01T00:00:00Z", "invalidated_by": by,
            "reason": "painted", "superseded_by": red});
        assert_eq!((&then["content"], &then["validity"]), (&json!("the kettle is blue"), &validity));
        assert_eq!(then["applied_seq"], 3);
        assert_eq!(engine.get(&format!("{path}?as_of=2026-03-01T00:00:00Z")).status, 404, "not at its end");
        assert_eq!(
            engine.get(&format!("{path}?as_of=2025-12-31T23:59:59Z")).status,
            404,
            "not before its start"
        );
        let unknown_then = engine.get(&format!("{path}?known_at=2")).json();
        assert_eq!(unknown_then["validity"], json!({"from": "2026-01-01T00:00:00Z"}));
        assert_eq!(engine.get(&format!("/v1/memories/{red}?known_at=1")).code(), "ENTRY_NOT_FOUND");

        assert_eq!(engine.total("q=kettle"), 1);
        assert_eq!(engine.total("q=blue"), 0);
        assert_eq!(engine.total("q=kettle&project=kitchen&as_of=2026-02-01T00:00:00Z"), 1);
        assert_eq!(engine.total("known_at=2"), 2);
        assert_eq!(engine.total("known_at=2020-01-01T00:00:00Z"), 0);
        let found = engine.get("/v1/search?q=blue&as_of=2026-02-01T00:00:00Z").json();
        assert_eq!(found["items"][0]["validity"], validity);
        assert!(engine.terminate().success());
        if restart == 0 {
            std::fs::remove_dir_all(data.path().join("projection")).unwrap();
        }
        engine = Running::start(data.path());
    }
}

#[test]
fn an_end_that_makes_no_sense_is_refused_with_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let from = json!({"content": "x", "valid_from": "2026-01-01T00:00:00Z"});
    let (id, other) = (save(&engine, &from), save(&engine, &json!({"content": "y"})));
    let nobody = "0123456789abcdef0123456789abcdef";
    let refused = [
        (nobody, json!({}), 404, "ENTRY_NOT_FOUND"),
        ("nobody", json!({}), 404, "ENTRY_NOT_FOUND"),
        (&id, json!({"valid_until": "2025-12-31T23:59:59Z"}), 400, "INVALID_ARGUMENT"),
        (&id, json!({"valid_until": "yesterday"}), 400, "INVALID_ARGUMENT"),
        (&id, json!({"superseded_by": nobody}), 400, "INVALID_ARGUMENT"),
        (&id, json!({"superseded_by": id}), 400, "INVALID_ARGUMENT"),
        (&id, json!({"superseded_by": "x"}), 400, "INVALID_ARGUMENT"),
        (&id, json!({"reason": "r".repeat(1001)}), 400, "INVALID_ARGUMENT"),
        (&id, json!({"until": "2026-02-01T00:00:00Z"}), 400, "INVALID_ARGUMENT"),
    ];
    for (target, body, status, code) in refused {
        let answer = end(&engine, target, "", &body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
        assert!(!answer.json()["error"]["hint"].as_str().unwrap().is_empty(), "the remedy: {answer:?}");
    }
    let reserved = r#"{"events":[{"type":"memory.invalidated","payload":{}}]}"#;
    assert_eq!(engine.post("/v1/events", "", reserved).status, 400);
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 2, "nothing was written");

    // An end in the future counts as an end. It can be moved to an earlier time, but never to a later one.
    assert_eq!(end(&engine, &id, "", &json!({"valid_until": "2999-01-01T00:00:00Z"})).status, 201);
    assert_eq!(engine.get(&format!("/v1/memories/{id}")).json()["validity"]["until"], "2999-01-01T00:00:00Z");
    assert_eq!(end(&engine, &id, "", &json!({"valid_until": "2026-06-01T00:00:00Z"})).status, 201);
    for later in ["2026-06-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let answer = end(&engine, &id, "", &json!({"valid_until": later}));
        assert_eq!((answer.status, answer.code().as_str()), (409, "ALREADY_INVALIDATED"));
    }
    assert_eq!(end(&engine, &id, "", &json!({})).status, 409);
    assert_eq!(end(&engine, &other, "", &json!({})).status, 201);
    assert_eq!(end(&engine, &other, "", &json!({})).status, 409);
    assert_eq!(engine.total(""), 0);
    assert_eq!(engine.total("known_at=2"), 2, "nothing is ever lost");
    for bad in ["as_of=yesterday", "as_of=5", "known_at=-1", "known_at=then", "known_at=", "min_seq=x"] {
        assert_eq!(engine.get(&format!("/v1/search?{bad}")).status, 400, "{bad}");
        assert_eq!(engine.get(&format!("/v1/memories/{id}?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn an_end_is_recorded_once_under_one_key() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let id = save(&engine, &json!({"content": "x"}));
    let key = "idempotency-key: end\r\n";
    let first = end(&engine, &id, key, &json!({"reason": "r"}));
    let again = end(&engine, &id, key, &json!({"reason": "r"}));
    assert_eq!((first.status, again.status, &again.body), (201, 200, &first.body));
    assert!(again.has_header("idempotency-replayed: true"));
    let other = end(&engine, &id, key, &json!({"reason": "another"}));
    assert_eq!((other.status, other.code().as_str()), (422, "IDEMPOTENCY_CONFLICT"));
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 2);
}

/// After the response to a write, a client can read the result from any connection.
#[test]
fn reads_see_writes() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    std::thread::scope(|scope| {
        for client in 0..4 {
            let engine = &engine;
            scope.spawn(move || {
                for n in 0..50 {
                    let word = format!("client{client}n{n}");
                    let saved = engine.save(&word).json();
                    let read = engine.get(&format!("/v1/memories/{}", saved["id"].as_str().unwrap()));
                    assert_eq!((read.status, &read.json()["content"]), (200, &json!(word)));
                    let found = engine
                        .get(&format!("/v1/search?mode=lexical&q={word}&min_seq={}", saved["seq"]))
                        .json();
                    assert!(found["applied_seq"].as_u64() >= saved["seq"].as_u64(), "{found}");
                    assert_eq!(found["total"], 1);
                }
            });
        }
    });
    let behind = engine.get("/v1/search?min_seq=201");
    assert_eq!((behind.status, behind.code().as_str()), (503, "PROJECTION_BEHIND"));
    assert!(behind.has_header("retry-after: 1"));
    assert_eq!(engine.get("/v1/search?min_seq=0").json()["applied_seq"], 200);
}

/// Guards against a regression: the usual value for "for ever" was refused as an invalid time.
#[test]
fn the_end_of_the_calendar_is_a_time() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let never = "9999-12-31T23:59:59Z";
    let id = save(&engine, &json!({"content": "the kettle is blue", "occurred_at": never}));
    let item = json!({"namespace": ["n"], "key": "k", "value": 1, "expires_at": never});
    let put = engine.connect().request("PUT", "/v1/items", "", &item.to_string()).unwrap();
    assert!(put.status < 300, "{put:?}");
    let ended = end(&engine, &id, "", &json!({"valid_until": never, "reason": "never"}));
    assert_eq!(ended.status, 201, "{ended:?}");
    assert_eq!(engine.get(&format!("/v1/memories/{id}")).status, 200, "still true");
    for name in ["as_of", "known_at"] {
        assert_eq!(engine.get(&format!("/v1/search?q=kettle&{name}={never}")).status, 200, "{name}");
    }
    let refused = engine.get("/v1/search?q=kettle&as_of=2026-01-31T12:00:00%2B25:00");
    assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_ARGUMENT"));
    let offset = json!({"content": "c", "occurred_at": "2026-01-31T12:00:00+25:00"});
    assert_eq!(engine.post("/v1/memories", "", &offset.to_string()).status, 400);
}
