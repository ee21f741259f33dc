//! Items over HTTP: values under a namespace and a key.

use serde_json::{Value, json};

use crate::process::{Answer, Running};

fn put(engine: &Running, headers: &str, body: &Value) -> Answer {
    engine.connect().request("PUT", "/v1/items", headers, &body.to_string()).unwrap()
}

fn delete(engine: &Running, body: &Value) -> Answer {
    engine.connect().request("DELETE", "/v1/items", "", &body.to_string()).unwrap()
}

fn search(engine: &Running, body: &Value) -> Answer {
    engine.post("/v1/items/search", "", &body.to_string())
}

#[test]
fn an_item_has_versions_and_each_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = Running::start(data.path());
    let item = |value: &str| {
        let body = r#"{"namespace":["users","ana"],"key":"a b","value":VALUE}"#.replace("VALUE", value);
        engine.connect().request("PUT", "/v1/items", "", &body).unwrap()
    };
    let first = item(r#"{"z":1.50,"a":["kettle"]}"#);
    assert_eq!((first.status, &first.json()["version"]), (201, &json!(1)), "{first:?}");
    assert_eq!(item("null").json()["version"], 2);
    assert_eq!(item(r#""latest""#).json()["version"], 3);
    let gone = json!({"namespace": ["users", "ana"], "key": "a b"});
    for restart in 0..2 {
        let at = "/v1/items?namespace=users.ana&key=a+b";
        let read = engine.get(at);
        assert_eq!(
            (read.status, &read.json()["value"], &read.json()["version"]),
            (200, &json!("latest"), &json!(3))
        );
        assert_eq!(read.json()["namespace"], json!(["users", "ana"]));
        let old = engine.get(&format!("{at}&known_at=1"));
        assert!(old.body.contains(r#""value":{"z":1.50,"a":["kettle"]}"#), "byte for byte: {old:?}");
        assert_eq!(engine.get(&format!("{at}&known_at=2")).json()["value"], Value::Null);
        assert_eq!(engine.get(&format!("{at}&known_at=0")).code(), "ITEM_NOT_FOUND");
        assert_eq!(engine.get(&format!("{at}&project=other")).code(), "ITEM_NOT_FOUND");
        let versions = engine.get("/v1/items/versions?namespace=users.ana&key=a+b&limit=2").json();
        assert_eq!((versions["versions"].as_array().unwrap().len(), &versions["more"]), (2, &json!(true)));
        assert_eq!(versions["versions"][1]["version"], 2);
        assert_eq!(
            search(&engine, &json!({"query": "kettle"})).json()["items"],
            json!([]),
            "words of an old version"
        );
        assert_eq!(search(&engine, &json!({"query": "LATEST?"})).json()["items"][0]["version"], 3);
        assert!(engine.terminate().success());
        if restart == 0 {
            std::fs::remove_dir_all(data.path().join("projection")).unwrap();
        }
        engine = Running::start(data.path());
    }
    assert_eq!(delete(&engine, &gone).status, 201);
    assert_eq!(delete(&engine, &gone).code(), "ITEM_NOT_FOUND");
    assert_eq!(engine.get("/v1/items?namespace=users.ana&key=a+b").status, 404);
    let versions = engine.get("/v1/items/versions?namespace=users.ana&key=a+b").json();
    assert_eq!((&versions["versions"][0]["deleted"], &versions["more"]), (&json!(true), &json!(false)));
    assert_eq!(search(&engine, &json!({})).json()["items"], json!([]));
    let reserved = r#"{"events":[{"type":"item.put","payload":{}}]}"#;
    assert_eq!(engine.post("/v1/events", "", reserved).status, 400);
}

#[test]
fn a_write_for_another_version_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let item = |version: Value| json!({"namespace": ["n"], "key": "k", "value": {}, "if_version": version});
    let refused = |answer: &Answer| (answer.status, answer.code());
    let conflict = (409, "VERSION_CONFLICT".to_owned());
    assert_eq!(refused(&put(&engine, "", &item(json!(7)))), conflict);
    let first = put(&engine, "idempotency-key: a\r\n", &item(json!(0)));
    assert_eq!((first.status, &first.json()["version"]), (201, &json!(1)));
    let again = put(&engine, "idempotency-key: a\r\n", &item(json!(0)));
    assert_eq!((again.status, &again.body), (200, &first.body), "the same request is no conflict");
    assert_eq!(refused(&put(&engine, "", &item(json!(0)))), conflict);
    assert_eq!(put(&engine, "", &item(json!(1))).json()["version"], 2);
    let gone = |version: u64| json!({"namespace": ["n"], "key": "k", "if_version": version});
    assert_eq!(refused(&delete(&engine, &gone(1))), conflict);
    assert_eq!(delete(&engine, &gone(2)).status, 201);
    assert_eq!(put(&engine, "", &item(json!(0))).json()["version"], 4);
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 4, "the refused write is not in the log");
}

/// Many clients increment a number: each reads it and writes the value plus one. No increment is lost.
#[test]
fn writes_that_expect_a_version_lose_no_update() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    put(&engine, "", &json!({"namespace": ["n"], "key": "k", "value": 0}));
    let (clients, each) = (6, 8);
    let conflicts: usize = std::thread::scope(|scope| {
        let add = || {
            let mut conflicts = 0;
            for _ in 0..each {
                loop {
                    let now = engine.get("/v1/items?namespace=n&key=k").json();
                    let value = now["value"].as_u64().unwrap() + 1;
                    let body =
                        json!({"namespace": ["n"], "key": "k", "value": value, "if_version": now["version"]});
                    match put(&engine, "", &body).status {
                        201 => break,
                        409 => conflicts += 1,
                        status => panic!("{status}"),
                    }
                }
            }
            conflicts
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(add)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(engine.get("/v1/items?namespace=n&key=k").json()["value"], clients * each);
    assert!(conflicts > 0, "no conflict occurred: the test proves nothing");
}

#[test]
fn what_has_had_its_time_is_not_there() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let item = |key: &str, expires: &str| {
        put(&engine, "", &json!({"namespace": ["n"], "key": key, "value": "kettle", "expires_at": expires}))
    };
    assert_eq!(item("old", "2020-01-01T00:00:00Z").status, 201);
    assert_eq!(item("new", "2999-01-01T00:00:00Z").status, 201);
    assert_eq!(engine.get("/v1/items?namespace=n&key=old").code(), "ITEM_NOT_FOUND");
    assert_eq!(engine.get("/v1/items?namespace=n&key=new").json()["expires_at"], "2999-01-01T00:00:00Z");
    for body in [json!({}), json!({"query": "kettle"})] {
        let found = search(&engine, &body).json();
        assert_eq!((found["items"].as_array().unwrap().len(), &found["items"][0]["key"]), (1, &json!("new")));
    }
    let made = json!({"namespace": ["n"], "key": "old", "value": 1, "if_version": 0});
    assert_eq!(put(&engine, "", &made).status, 201, "an expired item does not exist");
}

#[test]
fn an_answer_is_bounded_and_says_so() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let large = "x".repeat((1 << 20) - 10);
    for key in 0..9 {
        let body = json!({"namespace": ["n"], "key": key.to_string(), "value": large});
        assert_eq!(put(&engine, "", &body).status, 201);
    }
    let all = search(&engine, &json!({"limit": 9}));
    assert_eq!((all.status, all.code().as_str()), (400, "ANSWER_TOO_LARGE"));
    let some = search(&engine, &json!({"limit": 5}));
    assert_eq!((some.status, &some.json()["more"]), (200, &json!(true)));
    for (body, status) in [
        (json!({"limit": 0}), 400),
        (json!({"limit": 1001}), 400),
        (json!({"offset": 100_001}), 400),
        (json!({"namespace_prefix": ["a.b"]}), 400),
        (json!({"namespace_prefix": vec!["a"; 9]}), 400),
        (json!({"filter": {"a": {"$in": [1]}}}), 400),
        (json!({"filter": {"a": 1}, "query": "()*\"", "limit": 1000, "offset": 100_000}), 200),
        (json!({"nope": 1}), 400),
    ] {
        assert_eq!(search(&engine, &body).status, status, "{body}");
    }
    for path in ["/v1/items", "/v1/items?namespace=n", "/v1/items?key=k", "/v1/items?namespace=a..b&key=k"] {
        assert_eq!(engine.get(path).code(), "INVALID_ARGUMENT", "{path}");
    }
}
