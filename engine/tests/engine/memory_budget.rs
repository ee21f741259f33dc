//! A project that exceeds the memory budget for search is searched with fewer retrieval methods (lanes). The response
//! reports this, and the memory use of the process does not grow.

use std::ffi::OsStr;
use std::fs;

use serde_json::{Value, json};

use crate::process::{Running, eventually};

/// Number of words of one memory. With it, a few hundred memories exceed the smallest budget that can be configured.
const WORDS: usize = 1_000;

fn content(n: usize) -> String {
    let words = (0..WORDS).map(|word| format!("w{}", (n * 31 + word * 7) % 500));
    format!("the kettle number{n} {}", words.collect::<Vec<_>>().join(" "))
}

fn fill(engine: &Running, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let body = json!({ "content": content(n), "project": "large" }).to_string();
        assert_eq!(engine.post("/v1/memories", "", &body).status, 201);
    }
}

/// Returns the degraded lanes of a search with their reasons, and whether the search found the expected memory.
fn searched(engine: &Running, n: usize, asked: &mut u32) -> (Vec<(String, String)>, bool) {
    // Each query is different, because a cached response would report an old state.
    *asked += 1;
    let path = format!("/v1/search?project=large&limit=5&q=kettle+number{n}+ask{asked}");
    let answer = engine.get(&path).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let degraded = answer["degraded"].as_array().cloned().unwrap_or_default();
    let reasons = degraded.iter().map(|one| (text(&one["lane"]), text(&one["reason"]))).collect();
    // An unoptimised build on a busy machine may exceed the time limit of a search.
    let found = answer["items"].as_array().cloned().unwrap_or_default();
    (reasons, found.iter().any(|hit| text(&hit["snippet"]).contains(&format!("number{n} "))))
}

#[test]
fn a_project_that_outgrows_its_room_is_searched_with_less() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.yaml");
    fs::write(&config, "retrieval: {maxMemoryBytes: 1048576}\n").unwrap();
    let data = directory.path().join("data");
    let engine = Running::spawn_with(&data, &[OsStr::new("--config"), config.as_os_str()]);
    let (mut asked, lane) = (0, |lane: &str| (lane.to_owned(), "memory".to_owned()));
    fill(&engine, 0..200);
    eventually("a small project is held completely", || searched(&engine, 17, &mut asked) == (vec![], true));
    fill(&engine, 200..400);
    let words = (vec![lane("vector")], true);
    eventually("only words are held", || searched(&engine, 317, &mut asked) == words);
    fill(&engine, 400..620);
    let nothing = (vec![lane("vector"), lane("structure")], true);
    eventually("nothing is held", || searched(&engine, 617, &mut asked) == nothing);
    // There is still capacity for another project.
    assert_eq!(engine.save("a small note about the teapot").status, 201);
    eventually("a small project is held beside it", || {
        asked += 1;
        let answer = engine.get(&format!("/v1/search?project=default&q=teapot+ask{asked}")).json();
        answer["degraded"].as_array().is_none_or(Vec::is_empty)
    });
}
