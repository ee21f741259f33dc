//! Results of tools stay within the size that clients accept. Long results are split into parts; each part is sent
//! once, and all parts together are complete.

use serde_json::{Value, json};

use crate::mcp::{call, done};
use crate::process::{Running, eventually};

/// Maximum size of a result, in bytes.
const ANSWER_MAX: usize = 64 << 10;

fn size(result: &Value) -> usize {
    result.to_string().len()
}

#[test]
fn a_long_memory_comes_in_parts_and_once() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let line = "The \"kettle\" is blue\\green, ä 咖啡 🦀\n\tand\u{0}so on. ";
    let content = format!("begins {}ends", line.repeat(840_000 / line.len()));
    let saved = done(&engine, "memory_save", &json!({ "content": content, "tags": ["long"] }));
    for (tool, more) in [("memory_get", json!({})), ("memory_as_of", json!({ "known_at_seq": 1 }))] {
        for format in ["json", "text"] {
            let (mut whole, mut offset, mut parts) = (String::new(), 0, 0);
            loop {
                let mut arguments = more.clone();
                arguments["id"] = saved["id"].clone();
                arguments["offset"] = json!(offset);
                arguments["format"] = json!(format);
                let result = call(&engine, tool, &arguments);
                assert!(result["isError"] == false && size(&result) <= ANSWER_MAX, "{} bytes", size(&result));
                assert_eq!(result["structuredContent"], Value::Null, "the text occurs once");
                let text = result["content"][0]["text"].as_str().unwrap();
                parts += 1;
                let next = if format == "json" {
                    let answer: Value = serde_json::from_str(text).unwrap();
                    let memory = if tool == "memory_get" { &answer } else { &answer["memory"] };
                    whole.push_str(memory["content"].as_str().unwrap());
                    assert_eq!(answer["part"]["total"], content.chars().count());
                    answer["part"]["next_offset"].as_u64()
                } else {
                    let (part, told) = text.rsplit_once("\n\n(").unwrap();
                    let (part, _) = part.rsplit_once("\n\n[").unwrap();
                    whole.push_str(part);
                    told.split_once(" again with offset ")
                        .map(|(_, rest)| rest.split(' ').next().unwrap().parse().unwrap())
                };
                match next {
                    Some(next) => offset = next,
                    None => break,
                }
            }
            assert!(parts > 10 && whole == content, "{tool} {format}: {parts} parts");
        }
    }
    let behind = call(&engine, "memory_get", &json!({ "id": saved["id"], "offset": 10_000_000 }));
    assert_eq!(behind["structuredContent"]["error"]["code"], "INVALID_ARGUMENT", "{behind}");
    // A short result is complete and does not mention parts.
    let short = done(&engine, "memory_save", &json!({ "content": "short" }));
    let read = call(&engine, "memory_get", &json!({ "id": short["id"] }));
    let text = read["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("short\n") && !text.contains("PART"), "{text}");
}

#[test]
fn no_answer_of_a_tool_is_larger_than_a_client_bears() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    std::fs::write(&config, "mcp: {serverMemoryTools: true}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let tags: Vec<String> = (0..32).map(|n| format!("{n}{}", "\"".repeat(60))).collect();
    let memory = |n: usize| json!({ "content": format!("kettle {n} {}", "\u{1}".repeat(1000)), "title": "t".repeat(120), "tags": tags });
    let all: Vec<Value> = (0..200).map(memory).collect();
    assert_eq!(engine.post("/v1/memories/batch", "", &json!({ "memories": all }).to_string()).status, 201);
    for (tool, arguments) in [
        ("memory_search", json!({ "query": "kettle", "limit": 1000 })),
        ("memory_search", json!({ "limit": 1000 })),
        ("memory_as_of", json!({ "known_at_seq": 1000, "limit": 1000 })),
        ("memory_explain", json!({ "query": "kettle", "limit": 1000 })),
        ("memory_timeline", json!({ "seq": 100, "before": 20, "after": 20 })),
        ("memory_checkout", json!({ "query": "kettle", "token_budget": 32768, "limit": 100 })),
    ] {
        for format in ["text", "json"] {
            let mut arguments = arguments.clone();
            arguments["format"] = json!(format);
            let result = call(&engine, tool, &arguments);
            assert!(
                result["isError"] == false && size(&result) <= ANSWER_MAX,
                "{tool}: {} bytes",
                size(&result)
            );
        }
    }
    let (mut found, mut offset) = (0, Some(0));
    while let Some(skip) = offset {
        let page = done(&engine, "memory_search", &json!({ "limit": 1000, "offset": skip }));
        found += page["items"].as_array().unwrap().len();
        offset = page["next_offset"].as_u64();
    }
    assert_eq!(found, 200, "page by page");
    // As in a search, an offset returns the rest of a ranking.
    let ranks = done(&engine, "memory_explain", &json!({ "query": "kettle", "limit": 1000 }));
    let next = ranks["next_offset"].as_u64().unwrap();
    let more = done(&engine, "memory_explain", &json!({ "query": "kettle", "offset": next, "limit": 1 }));
    assert_eq!(more["items"][0]["rank"], next + 1, "{more}");

    no_graph_is_larger_than_a_client_bears(&engine);
}

fn no_graph_is_larger_than_a_client_bears(engine: &Running) {
    let observations: Vec<String> = (0..20).map(|n| format!("{n} {}", "é\"".repeat(50))).collect();
    let entity = |n: usize| json!({ "name": format!("entity {n:03}"), "entityType": "thing", "observations": observations });
    let entities: Vec<Value> = (0..600).map(entity).collect();
    for some in entities.chunks(300) {
        let made = call(engine, "create_entities", &json!({ "entities": some }));
        assert!(made["isError"] == false && size(&made) <= ANSWER_MAX, "{} bytes", size(&made));
        assert!(
            made["content"][1]["text"].as_str().unwrap().starts_with("Everything was written."),
            "{made}"
        );
    }
    for (tool, arguments) in [("read_graph", json!({})), ("search_nodes", json!({ "query": "thing" }))] {
        let (mut graph, mut cursor) = (Vec::<Value>::new(), None::<String>);
        loop {
            let mut arguments = arguments.clone();
            cursor.iter().for_each(|cursor| arguments["cursor"] = json!(cursor));
            let part = call(engine, tool, &arguments);
            assert!(part["isError"] == false && size(&part) <= ANSWER_MAX, "{tool}: {} bytes", size(&part));
            let structured = &part["structuredContent"];
            let text: Value = serde_json::from_str(part["content"][0]["text"].as_str().unwrap()).unwrap();
            assert_eq!(&text, structured);
            for entity in structured["entities"].as_array().unwrap() {
                match graph.last_mut().filter(|last| last["name"] == entity["name"]) {
                    Some(last) => {
                        let more = entity["observations"].as_array().unwrap().clone();
                        last["observations"].as_array_mut().unwrap().extend(more);
                    }
                    None => graph.push(entity.clone()),
                }
            }
            let told = part["content"][1]["text"].as_str().unwrap();
            match told.split_once("\"cursor\": \"") {
                Some((_, rest)) => cursor = Some(rest.split('"').next().unwrap().to_owned()),
                None => break,
            }
        }
        assert_eq!(graph, entities, "{tool}");
    }
}

#[test]
fn a_snippet_does_not_end_at_a_nul() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let saved = done(&engine, "memory_save", &json!({ "content": "before\u{0}the kettle\u{0}is blue" }));
    let hit = |path: &str| engine.get(path).json()["items"][0]["snippet"].as_str().unwrap().to_owned();
    for snippet in [
        hit("/v1/search?q=kettle"),
        hit("/v1/search?q=blue&mode=lexical"),
        hit("/v1/search"),
        hit("/v1/timeline?anchor=1"),
    ] {
        assert!(snippet.contains("kettle\u{0}is blue"), "{snippet:?}");
    }
    let other = done(&engine, "memory_save", &json!({ "content": "before\u{0}another" }));
    let forget = json!({ "ids": [saved["id"]], "reason": "asked for", "dry_run": false });
    let gone = done(&engine, "memory_forget", &forget);
    assert!(gone["complete"] == true, "the other one says something else: {gone}");
    assert_eq!(done(&engine, "memory_get", &json!({ "id": other["id"] }))["content"], "before\u{0}another");
}

#[test]
fn words_after_a_nul_count_in_the_ranking() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let short = done(&engine, "memory_save", &json!({ "content": "before\u{0}the kettle" }));
    let long =
        "Many other things are said in this text, and only at its end, after all of them, comes the kettle.";
    done(&engine, "memory_save", &json!({ "content": long }));
    let found = engine.get("/v1/search?q=kettle&mode=lexical").json();
    assert_eq!(found["items"][0]["id"], short["id"], "a short text ranks before a long one: {found}");
}
