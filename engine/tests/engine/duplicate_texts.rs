//! Saving the same text again.

use serde_json::{Value, json};

use crate::mcp::call;
use crate::process::{Running, eventually};

const TEXT: &str = "The kettle in the small kitchen is blue.";

fn save(engine: &Running, headers: &str, memory: &Value) -> (u16, Value) {
    let answer = engine.post("/v1/memories", headers, &memory.to_string());
    (answer.status, answer.json())
}

#[test]
fn the_same_text_saved_again_is_named() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let (status, first) = save(&engine, "", &json!({"content": TEXT}));
    assert_eq!((status, &first["known_as"]), (201, &Value::Null));
    let known = |body: &Value| -> Value {
        // A save waits only briefly for the lookup of known texts, so it may have to be repeated.
        let mut answer = Value::Null;
        eventually("it is looked up", || {
            answer = save(&engine, "", body).1;
            answer["known_as"] != Value::Null
        });
        answer
    };
    let second = known(&json!({"content": TEXT, "title": "again", "actor": "ben"}));
    assert!(second["known_as"] == first["id"] && second["id"] != first["id"], "{second}");
    assert_eq!(save(&engine, "", &json!({"content": TEXT, "project": "other"})).1["known_as"], Value::Null);
    assert_eq!(save(&engine, "", &json!({"content": "The kettle."})).1["known_as"], Value::Null);
    let batch = json!({"memories": [{"content": "one"}, {"content": TEXT}, {"content": "one"}]});
    let items = engine.post("/v1/memories/batch", "", &batch.to_string()).json()["items"].clone();
    assert_eq!((&items[0]["known_as"], &items[2]["known_as"]), (&Value::Null, &items[0]["id"]), "{items}");
    eventually("the model is informed", || {
        let result = call(&engine, "memory_save", &json!({"content": TEXT}));
        let text = result["content"][0]["text"].as_str().unwrap();
        text.contains("already known as memory") && text.contains(first["id"].as_str().unwrap())
    });
    // A text that is no longer valid does not count as known.
    let fact = save(&engine, "", &json!({"content": "The stove runs on gas."})).1;
    let end = format!("/v1/memories/{}/invalidate", fact["id"].as_str().unwrap());
    assert_eq!(engine.post(&end, "", "{}").status, 201);
    assert_eq!(save(&engine, "", &json!({"content": "The stove runs on gas."})).1["known_as"], Value::Null);
    // A forgotten text does not count as known either.
    let secret = save(&engine, "", &json!({"content": "A text to be forgotten."})).1;
    let forget = json!({"ids": [secret["id"]], "reason": "asked for"}).to_string();
    assert!(engine.post("/v1/forget", "", &forget).status < 300);
    assert_eq!(save(&engine, "", &json!({"content": "A text to be forgotten."})).1["known_as"], Value::Null);
}

#[test]
fn a_text_is_saved_once_where_that_is_wanted() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    std::fs::write(&config, "saving: {sameText: SaveOnce}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let (status, first) = save(&engine, "", &json!({"content": TEXT}));
    assert_eq!((status, &first["known_as"]), (201, &Value::Null));
    let (status, again) =
        save(&engine, "idempotency-key: k\r\n", &json!({"content": TEXT, "title": "again"}));
    assert_eq!((status, &again["id"], &again["known_as"]), (200, &first["id"], &first["id"]));
    assert_eq!((&again["seq"], &again["hash"]), (&first["seq"], &first["hash"]));
    let (status, said) = save(&engine, "", &json!({"content": TEXT, "same_text": "say"}));
    assert_eq!(status, 201, "the request takes precedence: {said}");
    let batch = json!({"memories": [{"content": TEXT}, {"content": "new"}, {"content": "new"}, {"content": "newer"}]});
    for _ in 0..2 {
        let answer =
            engine.post("/v1/memories/batch", "idempotency-key: batch\r\n", &batch.to_string()).json();
        let items = answer["items"].as_array().unwrap();
        assert_eq!(items.len(), 4, "{answer}");
        assert_eq!((&items[0]["id"], &items[1]["id"]), (&first["id"], &items[2]["id"]), "{answer}");
        assert!(items[3]["id"] != items[1]["id"] && items[1]["id"] != first["id"], "{answer}");
    }
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 4, "a known text is not in the log again");
    let other =
        engine.post("/v1/memories/batch", "idempotency-key: batch\r\n", r#"{"memories":[{"content":"x"}]}"#);
    assert_eq!(other.status, 422, "{other:?}");
    let told = call(&engine, "memory_save", &json!({"content": TEXT}));
    assert!(told["content"][0]["text"].as_str().unwrap().starts_with("Not saved a second time"), "{told}");
    assert_eq!(told["structuredContent"]["id"], first["id"]);
    // Personal data is removed before the comparison.
    let phone = json!({"content": "Call Ana at +1 415 555 0132 on Monday."});
    let one = save(&engine, "", &phone).1;
    assert_eq!(save(&engine, "", &phone).1["id"], one["id"]);
}

#[test]
fn one_text_from_many_clients_is_saved_once() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let ids: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
        let one = || {
            let (status, saved) = save(&engine, "", &json!({"content": TEXT, "same_text": "save_once"}));
            assert!([200, 201].contains(&status), "{saved}");
            saved["id"].as_str().unwrap().to_owned()
        };
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((ids.len(), &engine.get("/v1/log/head").json()["seq"]), (1, &json!(1)));
}

#[test]
fn a_context_holds_no_text_twice() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let mut ids = Vec::new();
    for title in ["", "", "with a title"] {
        ids.push(
            save(&engine, "", &json!({"content": TEXT, "title": title, "project": "p"})).1["id"].clone(),
        );
    }
    let rule = json!({"content": "Answer in one sentence.", "type": "rule", "project": "p"});
    for _ in 0..2 {
        save(&engine, "", &rule);
    }
    save(
        &engine,
        "",
        &json!({"content": "The kettle in the small kitchen holds two litres.", "project": "p"}),
    );
    let asked = json!({"query": "the kettle in the kitchen", "project": "p", "mandatory_types": ["rule"], "limit": 3});
    let answer = engine.post("/v1/checkout", "", &asked.to_string()).json();
    let context = answer["context"].as_str().unwrap();
    assert_eq!(context.matches(TEXT).count(), 1, "{context}");
    assert_eq!(context.matches("Answer in one sentence.").count(), 1, "{context}");
    assert!(context.contains("two litres"), "another memory takes the place of the repetition: {context}");
    let repeated = answer["repeated"].as_array().unwrap();
    assert_eq!(repeated.len(), 3, "{answer}");
    let of_text: Vec<&Value> = repeated.iter().filter(|item| ids.contains(&item["id"])).collect();
    assert!(of_text.len() == 2 && of_text.iter().all(|item| ids.contains(&item["same_as"])), "{answer}");
    let told = call(&engine, "memory_search", &json!({"query": "blue kettle", "project": "p"}));
    let text = told["content"][0]["text"].as_str().unwrap();
    assert_eq!(text.matches(TEXT).count(), 1, "{text}");
    assert_eq!(text.matches("(same text as [").count(), 2, "{text}");
}
