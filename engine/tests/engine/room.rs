//! A project that outgrows the memory for searching is searched with less, says so, and the process does not grow.

use std::ffi::OsStr;
use std::fs;

use serde_json::{Value, json};

use crate::process::{Running, eventually};

/// Words of one memory: enough that a few hundred memories are too many for the least room there can be.
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

/// Reasons a search gives for what it went without, by lane, and whether it found what was asked for.
fn searched(engine: &Running, n: usize, asked: &mut u32) -> (Vec<(String, String)>, bool) {
    // Another question each time: an answer that was kept would say what was.
    *asked += 1;
    let path = format!("/v1/search?project=large&limit=5&q=kettle+number{n}+ask{asked}");
    let answer = engine.get(&path).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let degraded = answer["degraded"].as_array().cloned().unwrap_or_default();
    let reasons = degraded.iter().map(|one| (text(&one["lane"]), text(&one["reason"]))).collect();
    // A build without optimisation on a busy machine may need longer for one than a search may take.
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
    eventually("all of a small project is held", || searched(&engine, 17, &mut asked) == (vec![], true));
    fill(&engine, 200..400);
    let words = (vec![lane("vector")], true);
    eventually("words alone are held", || searched(&engine, 317, &mut asked) == words);
    fill(&engine, 400..620);
    let nothing = (vec![lane("vector"), lane("structure")], true);
    eventually("nothing is held", || searched(&engine, 617, &mut asked) == nothing);
    // Another project has the room.
    assert_eq!(engine.save("a small note about the teapot").status, 201);
    eventually("a small project is held beside it", || {
        asked += 1;
        let answer = engine.get(&format!("/v1/search?project=default&q=teapot+ask{asked}")).json();
        answer["degraded"].as_array().is_none_or(Vec::is_empty)
    });
}
