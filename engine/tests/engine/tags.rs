//! Memories are filtered by tag, over every protocol.

use serde_json::{Value, json};

use crate::mcp::done;
use crate::process::Running;

fn engine(data: &std::path::Path) -> Running {
    let engine = Running::start(data);
    for (content, tags) in [
        ("The kettle is blue", json!(["colour", "kitchen"])),
        ("The kettle holds two litres", json!(["kitchen"])),
        ("The kettle in the office is red", json!(["colour", "office, upstairs"])),
        ("The kettle was cheap", json!([])),
    ] {
        let memory = json!({"content": content, "tags": tags, "project": "p", "session": "s"}).to_string();
        assert_eq!(engine.post("/v1/memories", "", &memory).status, 201);
    }
    engine
}

/// Returns the last word of the text shown for each item, in alphabetical order.
fn said(items: &Value, field: &str) -> Vec<String> {
    let mut said: Vec<String> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[field].as_str().unwrap().rsplit(' ').next().unwrap().to_owned())
        .collect();
    said.sort();
    said
}

/// Values of `any` and `all`, and the memories that they must select.
fn cases() -> Vec<(Vec<&'static str>, Vec<&'static str>, Vec<&'static str>)> {
    vec![
        (vec![], vec![], vec!["blue", "cheap", "litres", "red"]),
        (vec!["colour"], vec![], vec!["blue", "red"]),
        (vec!["kitchen", "office, upstairs"], vec![], vec!["blue", "litres", "red"]),
        (vec![], vec!["colour", "kitchen"], vec!["blue"]),
        (vec!["office, upstairs"], vec!["colour"], vec!["red"]),
        (vec!["kitchen"], vec!["office, upstairs"], vec![]),
        (vec!["Colour"], vec![], vec![]),
        (vec!["none"], vec![], vec![]),
    ]
}

#[test]
fn memories_are_narrowed_by_tags_whoever_asks() {
    let data = tempfile::tempdir().unwrap();
    let engine = engine(data.path());
    for (any, all, expected) in cases() {
        let each = |name: &str, tags: &[&str]| -> String {
            tags.iter().map(|tag| format!("&{name}={}", tag.replace(", ", "%2C+"))).collect()
        };
        let narrow = format!("{}{}", each("tags_any", &any), each("tags_all", &all));
        for query in ["q=kettle&mode=hybrid", "q=kettle&mode=lexical", "q="] {
            for project in ["&project=p", ""] {
                let found = engine.get(&format!("/v1/search?{query}{project}{narrow}")).json();
                assert_eq!(said(&found["items"], "snippet"), expected, "{query}{project}{narrow}");
                assert_eq!(found["total"], expected.len(), "{query}{project}{narrow}");
            }
        }
        let timeline = engine.get(&format!("/v1/timeline?anchor=2&before=9&after=9{narrow}")).json();
        assert_eq!(said(&timeline["items"], "snippet"), expected, "{narrow}");
        let asked = json!({"query": "the kettle", "project": "p", "tags_any": any, "tags_all": all});
        let context = engine.post("/v1/checkout", "", &asked.to_string()).json();
        let context = context["context"].as_str().unwrap();
        let words: Vec<String> =
            context.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect();
        assert!(words.iter().all(|word| expected.contains(&word.as_str())), "{context}");
        assert_eq!(words.is_empty(), expected.is_empty(), "{context}");
        let checkout = done(&engine, "memory_checkout", &asked);
        assert_eq!(checkout["context"], context);
        let found = done(&engine, "memory_search", &asked);
        assert_eq!(said(&found["items"], "snippet"), expected);
        let as_of = json!({"query": "kettle", "known_at_seq": 4, "tags_any": any, "tags_all": all});
        assert_eq!(said(&done(&engine, "memory_as_of", &as_of)["found"]["items"], "snippet"), expected);
        let around = json!({"seq": 2, "before": 9, "after": 9, "tags_any": any, "tags_all": all});
        assert_eq!(said(&done(&engine, "memory_timeline", &around)["items"], "snippet"), expected);
        let explained = json!({"query": "kettle", "tags_any": any, "tags_all": all, "limit": 9});
        assert_eq!(
            done(&engine, "memory_explain", &explained)["items"].as_array().unwrap().len(),
            expected.len()
        );
    }
    for bad in ["tags_any=", "tags_all=%0A", "tag=colour"] {
        assert_eq!(engine.get(&format!("/v1/search?q=kettle&{bad}")).code(), "INVALID_ARGUMENT", "{bad}");
    }
    let many = "&tags_any=a".repeat(33);
    assert_eq!(engine.get(&format!("/v1/search?q=kettle{many}")).code(), "INVALID_ARGUMENT");
}
