//! MCP tools: the structured result for programs, and the text for a model.

use serde_json::{Value, json};

use crate::mcp::{call, done};
use crate::process::Running;

/// Returns the text that a call returns to a model, and the structured result.
fn told(engine: &Running, tool: &str, arguments: &Value) -> (String, Value) {
    let mut result = call(engine, tool, arguments);
    let text = result["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    assert_eq!(result["isError"], false, "{text}");
    let structured = result["structuredContent"].take();
    (text, if structured.is_null() { done(engine, tool, arguments) } else { structured })
}

/// Saves three memories of one conversation, and one memory of another.
fn four(engine: &Running) -> Vec<Value> {
    let save = |content: &str, session: &str, actor: &str| {
        let occurred = "2026-03-01T10:00:00Z";
        let memory = json!({ "content": content, "session": session, "actor": actor, "occurred_at": occurred, "type": "fact" });
        done(engine, "memory_save", &memory)
    };
    vec![
        save("Ana bought a blue kettle for the office kitchen.", "monday", "ana"),
        save("The stove in the office kitchen runs on gas.", "monday", "ben"),
        save("The meeting about the budget is on Friday.", "tuesday", "ben"),
        save("The kettle holds two litres.", "monday", "ana"),
    ]
}

#[test]
fn a_context_for_a_prompt_cites_what_is_in_it() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let saved = four(&engine);
    let asked = json!({ "query": "What colour is the kettle?", "token_budget": 200, "mandatory_ids": [saved[2]["id"]] });
    let (text, context) = told(&engine, "memory_checkout", &asked);
    assert_eq!(context["mandatory"][0]["id"], saved[2]["id"]);
    for item in context["relevant"].as_array().unwrap().iter().chain(context["mandatory"].as_array().unwrap())
    {
        assert!(text.contains(item["citation"].as_str().unwrap()), "{text}");
    }
    assert!(text.contains("blue kettle") && text.contains("of 200 tokens"), "{text}");
    let rest = engine.post("/v1/checkout", "", &asked.to_string()).json();
    assert_eq!(context, rest);
}

#[test]
fn a_ranking_is_explained_in_full() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let saved = four(&engine);
    let (text, explained) = told(&engine, "memory_explain", &json!({ "query": "blue kettle", "limit": 2 }));
    let items = explained["items"].as_array().unwrap();
    assert!(items.len() == 2 && items[0]["rank"] == 1 && items[0]["id"] == saved[0]["id"], "{explained}");
    for item in items {
        let breakdown = item["breakdown"].as_object().unwrap();
        let points: f64 = breakdown.values().map(|feature| feature["points"].as_f64().unwrap()).sum();
        assert!((points - item["score"].as_f64().unwrap()).abs() < 1e-6 && !breakdown.is_empty(), "{item}");
        assert!(text.contains(item["citation"].as_str().unwrap()), "{text}");
    }
    assert!(
        explained["weights"].as_str().unwrap().starts_with("default-") && text.contains("lexical"),
        "{text}"
    );
    let weights = json!({ "weights": { "lexical": 1.0 } });
    let set =
        engine.connect().request("PUT", "/v1/retrieval/weights", "", &weights.to_string()).unwrap().json();
    let one = json!({ "query": "blue kettle", "id": saved[3]["id"] });
    let (_, explained) = told(&engine, "memory_explain", &one);
    let item = &explained["items"][0];
    assert_eq!((&explained["weights"], &item["id"]), (&set["version"], &saved[3]["id"]));
    assert_eq!(item["breakdown"].as_object().unwrap().keys().collect::<Vec<_>>(), ["lexical"], "{item}");
    assert!(
        item["rank"].as_u64().unwrap() > 1 && explained["items"].as_array().unwrap().len() == 1,
        "{explained}"
    );
    let elsewhere = json!({ "query": "kettle", "id": saved[2]["id"], "session": "monday" });
    let (text, explained) = told(&engine, "memory_explain", &elsewhere);
    assert!(explained["items"] == json!([]) && text.contains("is not among"), "{text}");
}

#[test]
fn a_found_memory_is_told_with_its_source() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    four(&engine);
    let (text, found) = told(&engine, "memory_search", &json!({ "query": "kettle", "session": "monday" }));
    for item in found["items"].as_array().unwrap() {
        let score = format!("{:.3}", item["score"].as_f64().unwrap());
        for part in
            [item["citation"].as_str().unwrap(), &score, "2026-03-01", item["snippet"].as_str().unwrap()]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains(&format!("{}: ", item["actor"].as_str().unwrap())), "{text}");
    }
    assert!(text.contains("ana: ") && text.contains("ben: "), "{text}");
}

#[test]
fn nothing_is_forgotten_before_somebody_means_it() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let saved = four(&engine);
    let id = saved[1]["id"].as_str().unwrap();
    let path = format!("/v1/memories/{id}");
    let rating =
        json!({ "id": id, "rating": -0.5, "note": "it was about another kitchen", "idempotency_key": "r" });
    let rated = done(&engine, "memory_feedback", &rating);
    assert_eq!(done(&engine, "memory_feedback", &rating), rated, "once");
    assert_eq!(engine.get(&path).json()["feedback"], json!({ "count": 1, "mean_milli": -500 }));

    let trial = json!({ "ids": [id], "reason": "it was asked for", "idempotency_key": "f" });
    for arguments in [&trial, &json!({ "ids": [id], "reason": "it was asked for", "dry_run": true })] {
        let (text, answer) = told(&engine, "memory_forget", arguments);
        assert!(text.starts_with("NOTHING WAS FORGOTTEN") && answer["memories"] == 1, "{text}");
    }
    assert_eq!(engine.get(&path).status, 200);
    let mut meant = trial.clone();
    meant["dry_run"] = json!(false);
    let (text, answer) = told(&engine, "memory_forget", &meant);
    assert_eq!(
        (&answer["dry_run"], &answer["memories"], &answer["about"]),
        (&json!(false), &json!(1), &json!(1))
    );
    assert!(answer["complete"] == true && text.contains("1 memories"), "{text}");
    assert_eq!(engine.get(&path).code(), "ENTRY_NOT_FOUND");
    let seq = engine.get("/v1/log/head").json()["seq"].clone();
    told(&engine, "memory_forget", &meant);
    let body = json!({ "ids": [id], "reason": "it was asked for" }).to_string();
    assert_eq!(engine.post("/v1/forget", "idempotency-key: f\r\n", &body).status, 200);
    assert_eq!(engine.get("/v1/log/head").json()["seq"], seq, "one key is one write");
}
