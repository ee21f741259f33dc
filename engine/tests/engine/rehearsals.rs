//! Rehearsals: recorded questions of clients, that a canary is asked again about what was known at their time.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::access::{bearer, key, write_secret};
use crate::canary::{Fake, counts, fill, grant_of, granted, report, search};
use crate::mcp::call;
use crate::process::{Answer, Client, JSON, Running, eventually};
use crate::readers::{caught_up, reader_of, url};

/// Starts an engine that records the questions of clients.
fn recording(data: &Path) -> Running {
    let engine = Running::spawn_with(data, &["--set".as_ref(), "rehearsal.record=true".as_ref()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

fn file(data: &Path) -> PathBuf {
    data.join("rehearsal/questions.json")
}

/// The questions in the file, the oldest first.
fn recorded(data: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(file(data)) else { return Vec::new() };
    // A file that the engine has not replaced yet may be damaged.
    let stored: Value = serde_json::from_str(&text).unwrap_or_default();
    let questions = stored["questions"].as_array().cloned().unwrap_or_default();
    questions.iter().map(|one| one["query"].as_str().unwrap().to_owned()).collect()
}

/// Waits until the file has so many questions.
fn recorded_are(data: &Path, number: usize) -> Vec<String> {
    eventually("the questions are in the file", || recorded(data).len() == number);
    recorded(data)
}

/// Grants a canary that rehearses.
fn rehearse(stable: &Running, api: &str, readyz_of: &str) -> Value {
    let mut grant = grant_of(api, readyz_of, "shadow", 0);
    grant["rehearsal"] = json!({"since_seconds": 3600, "questions": 100});
    grant["pair_interval_ms"] = json!(50);
    granted(stable, &grant)
}

/// Waits until the rehearsal of so many questions is done.
fn rehearsed(stable: &Running, questions: u64) -> Value {
    let all = json!({"questions": questions, "asked": questions});
    eventually("the rehearsal is done", || report(stable)["rehearsal"] == all);
    report(stable)
}

#[test]
fn questions_are_recorded_only_when_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    fill(&engine, "");
    assert_eq!(search(&engine, "kettle").status, 200);
    assert!(engine.terminate().success());
    assert!(!file(data.path()).exists(), "nobody has asked for a record");
    let engine = recording(data.path());
    for words in ["kettle", "blue+teapot", "kettle"] {
        assert_eq!(search(&engine, words).status, 200);
    }
    assert_eq!(engine.get("/v1/search?q=saucer&limit=3&explain=true&min_seq=1").status, 200);
    // None of these is a question of a client that was answered and can be repeated.
    assert_eq!(engine.get("/v1/search?q=ladle&limit=many").status, 400);
    assert_eq!(engine.get("/v1/search?q=ladle&known_at=1").status, 200);
    let compared = engine.connect().request("GET", "/v1/search?q=ladle", "memory-canary: compare\r\n", "");
    assert_eq!(compared.unwrap().status, 200);
    assert_eq!(recorded_are(data.path(), 3), ["q=blue%20teapot", "q=kettle", "q=saucer&limit=3"]);
    let mode = fs::metadata(file(data.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
    // What was asked just before the end is kept, and the record goes on.
    assert_eq!(search(&engine, "colander").status, 200);
    thread::sleep(Duration::from_secs(1));
    assert!(engine.terminate().success());
    assert_eq!(recorded(data.path()).last().map(String::as_str), Some("q=colander"));
    let engine = recording(data.path());
    assert_eq!(search(&engine, "skillet").status, 200);
    assert_eq!(recorded_are(data.path(), 5)[4], "q=skillet");
    assert!(engine.terminate().success());
    // A record that nobody asks for any more is removed.
    let engine = Running::start(data.path());
    assert!(!file(data.path()).exists());
    assert_eq!(search(&engine, "kettle").status, 200);
}

/// Agents search with tools, and ask for contexts.
#[test]
fn the_searches_of_tools_and_contexts_are_recorded() {
    let data = tempfile::tempdir().unwrap();
    let engine = recording(data.path());
    fill(&engine, "");
    call(&engine, "memory_search", &json!({"query": "blue kettle", "limit": 3}));
    call(&engine, "memory_checkout", &json!({"query": "teapot", "tags_any": ["kitchen"]}));
    assert_eq!(engine.post("/v1/checkout", "", &json!({"query": "the saucer"}).to_string()).status, 200);
    // None of these is a question about now that was answered.
    call(&engine, "memory_as_of", &json!({"query": "ladle", "as_of": "2026-01-01T00:00:00Z"}));
    assert_eq!(engine.post("/v1/checkout", "", &json!({"query": ""}).to_string()).status, 400);
    let expected = ["q=blue%20kettle&limit=3", "q=teapot&tags_any=kitchen", "q=the%20saucer"];
    assert_eq!(recorded_are(data.path(), 3), expected);
}

#[test]
fn the_policy_is_applied_to_recorded_questions() {
    let data = tempfile::tempdir().unwrap();
    let engine = recording(data.path());
    fill(&engine, "");
    let secret = format!("AKIA{}", "IOSFODNN7ABCDEFG");
    for path in [
        "/v1/search?q=mail+of+ada.lovelace%40example.org",
        "/v1/search?q=kettle&project=grace.hopper%40example.org",
        &format!("/v1/search?q=the+key+{secret}"),
        "/v1/search?q=saucer",
    ] {
        let answer = engine.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let questions = recorded_are(data.path(), 3);
    let text = fs::read_to_string(file(data.path())).unwrap();
    for part in ["lovelace", "hopper", "example", &secret] {
        assert!(!text.contains(part), "{part}: {text}");
    }
    assert!(questions[0].starts_with("q=mail%20of%20%5B"), "a placeholder: {questions:?}");
    assert!(questions[1].starts_with("q=kettle&project=%5B"), "a token: {questions:?}");
}

#[test]
fn a_damaged_record_begins_anew() {
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("rehearsal")).unwrap();
    fs::write(file(data.path()), "{\"questions\": [{\"query\": \"q=private\"").unwrap();
    let engine = recording(data.path());
    fill(&engine, "");
    assert_eq!(search(&engine, "kettle").status, 200);
    assert_eq!(recorded_are(data.path(), 1), ["q=kettle"]);
    assert!(!engine.said().contains("private"), "{}", engine.said());
}

#[test]
fn questions_about_a_forgotten_project_are_removed() {
    let data = tempfile::tempdir().unwrap();
    let engine = recording(data.path());
    fill(&engine, "");
    let body = json!({"content": "The samovar is hot", "project": "tea room"}).to_string();
    assert_eq!(engine.post("/v1/memories", JSON, &body).status, 201);
    assert_eq!(engine.get("/v1/search?q=samovar&project=tea+room").status, 200);
    assert_eq!(search(&engine, "kettle").status, 200);
    recorded_are(data.path(), 2);
    let body = json!({"project": "tea room", "reason": "the test"}).to_string();
    let forgotten = engine.post("/v1/forget", JSON, &body);
    assert_eq!(forgotten.status, 200, "{forgotten:?}");
    assert_eq!(recorded_are(data.path(), 1), ["q=kettle"]);
}

/// A caller that is bound to one project means this one, and nobody else is asked that way.
#[test]
fn the_question_of_a_caller_with_one_project_names_it() {
    let (data, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = files.path().join("cook");
    write_secret(&path, key("cook").secret_text());
    let config = files.path().join("config.yaml");
    let text = format!(
        "rehearsal: {{record: true}}\naccess:\n  anonymous: false\n  keys:\n  - {{name: cook, files: ['{}'], \
         scopes: [read, write], projects: [kitchen]}}\n",
        path.display()
    );
    fs::write(&config, text).unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let asked = engine.connect().request("GET", "/v1/search?q=kettle", &bearer("cook"), "").unwrap();
    assert_eq!(asked.status, 200, "{asked:?}");
    assert_eq!(engine.connect().request("GET", "/v1/search?q=teapot", "", "").unwrap().status, 401);
    assert_eq!(recorded_are(data.path(), 1), ["q=kettle&project=kitchen"]);
    let text = fs::read_to_string(file(data.path())).unwrap();
    assert!(!text.contains("cook"), "nothing of who asked: {text}");
}

/// Passes searches on to an engine, and notes their paths.
fn listening(api: SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = url(listener.local_addr().unwrap());
    let noted = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&noted);
    let pass_on = move |mut stream: &TcpStream, heard: &Mutex<Vec<String>>| {
        let mut lines = BufReader::new(stream).lines();
        while let Some(Ok(first)) = lines.next() {
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let path = first.split(' ').nth(1).unwrap().to_owned();
            let asked = Client::connect(api).unwrap().request("GET", &path, "memory-canary: compare\r\n", "");
            let Ok(Answer { head, body, .. }) = asked else { return };
            heard.lock().unwrap().push(path);
            let _gone = write!(stream, "{head}{body}");
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let heard = Arc::clone(&hears);
            thread::spawn(move || pass_on(&stream, &heard));
        }
    });
    (address, noted)
}

#[test]
fn a_rehearsal_asks_each_question_about_what_was_known_then() {
    let (stable_data, canary_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stable = recording(stable_data.path());
    fill(&stable, "");
    let before = search(&stable, "kettle").json();
    assert_eq!(search(&stable, "teapot").status, 200);
    recorded_are(stable_data.path(), 2);
    // Memories that both questions would find today.
    for number in 0..3 {
        assert_eq!(stable.save(&format!("A later kettle and teapot, number {number}")).status, 201);
    }
    let canary = reader_of(canary_data.path(), &url(stable.admin), &url(stable.api), &[]);
    caught_up(&stable, &canary);
    let (api, heard) = listening(canary.api);
    rehearse(&stable, &api, &url(canary.admin));
    let report = rehearsed(&stable, 2);
    assert_eq!(report["tally"]["quality"]["live"], 2, "they count as those of clients: {report}");
    assert_eq!((counts(&report, "disagreement").0, counts(&report, "error").0), (0, 0), "{report}");
    let heard = heard.lock().unwrap().clone();
    let asked = heard.iter().find(|path| path.contains("q=kettle&known_at=")).expect("it was asked");
    let ids = |answer: &Value| -> Vec<Value> {
        answer["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
    };
    let then = stable.get(asked).json();
    assert_eq!(ids(&then), ids(&before), "{asked}");
    let now = search(&stable, "kettle").json();
    assert_eq!(ids(&now).len(), ids(&before).len() + 3, "today there are more");
    assert_eq!(recorded(stable_data.path()).len(), 2, "a rehearsal is no question of a client");
}

#[test]
fn a_bad_canary_is_found_by_a_rehearsal_without_any_client() {
    let data = tempfile::tempdir().unwrap();
    let stable = recording(data.path());
    fill(&stable, "");
    for number in 0..6 {
        assert_eq!(search(&stable, &format!("kettle+{number}")).status, 200);
    }
    recorded_are(data.path(), 6);
    let seq = stable.health()["log"]["seq"].as_u64().unwrap();
    for (fake, metric) in
        [(Fake::Fails, "error"), (Fake::Refuses, "fallback"), (Fake::Forgets(seq), "disagreement")]
    {
        let address = fake.serve();
        let ended = Client::connect(stable.admin).unwrap().request("DELETE", "/canary", "", "").unwrap();
        assert_eq!(ended.status, 200);
        rehearse(&stable, &address, &address);
        let report = rehearsed(&stable, 6);
        assert_eq!(report["tally"]["quality"]["live"], 6, "{metric}: {report}");
        let (canary_only, stable_only, pairs) = counts(&report, metric);
        assert!(canary_only == pairs && pairs >= 6 && stable_only == 0, "{metric}: {report}");
    }
}

#[test]
fn a_canary_is_asked_once_across_restarts_and_only_in_the_shadow() {
    let data = tempfile::tempdir().unwrap();
    let stable = recording(data.path());
    fill(&stable, "");
    assert_eq!(search(&stable, "kettle").status, 200);
    recorded_are(data.path(), 1);
    let seq = stable.health()["log"]["seq"].as_u64().unwrap();
    let address = Fake::Forgets(seq).serve();
    let mut grant = grant_of(&address, &address, "canary", 0);
    grant["rehearsal"] = json!({"since_seconds": 3600, "questions": 100});
    granted(&stable, &grant);
    eventually("pairs of its own", || counts(&report(&stable), "knownItemMissed").2 >= 2);
    assert_eq!(report(&stable)["rehearsal"], Value::Null, "it may meet callers already");
    rehearse(&stable, &address, &address);
    rehearsed(&stable, 1);
    assert!(stable.terminate().success());
    let stable = recording(data.path());
    rehearse(&stable, &address, &address);
    eventually("it begins", || !report(&stable)["rehearsal"].is_null());
    assert_eq!(
        report(&stable)["rehearsal"],
        json!({"questions": 0, "asked": 0}),
        "an earlier process has asked it"
    );
    let ended = Client::connect(stable.admin).unwrap().request("DELETE", "/canary", "", "").unwrap();
    assert_eq!(ended.json()["rehearsal"], Value::Null);
    rehearse(&stable, &address, &address);
    rehearsed(&stable, 1);
}

#[test]
fn an_engine_without_a_record_rehearses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let stable = Running::start(data.path());
    fill(&stable, "");
    assert_eq!(search(&stable, "kettle").status, 200);
    let address = Fake::Fails.serve();
    rehearse(&stable, &address, &address);
    eventually("it begins", || !report(&stable)["rehearsal"].is_null());
    assert_eq!(report(&stable)["rehearsal"], json!({"questions": 0, "asked": 0}));
    let mut bad = grant_of(&address, &address, "shadow", 0);
    bad["rehearsal"] = json!({"since_seconds": 59, "questions": 100});
    let refused = Client::connect(stable.admin).unwrap().request("PUT", "/canary", JSON, &bad.to_string());
    assert_eq!(refused.unwrap().status, 400);
}
