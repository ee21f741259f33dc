//! External models: the engine uses them while they are available, and counts and reports failures.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Running, binary, eventually};
use crate::services::{REFUSED, Service, meaning};

fn start(data: &Path, config: &str) -> Running {
    let path = data.join("config.yaml");
    // These tests are about what searches do without a service, which the guard would turn off.
    fs::write(&path, format!("{config}\nguard: {{enabled: false}}\n")).unwrap();
    let engine = Running::spawn_with(data, &["--config".as_ref(), path.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

fn embedding(service: &Service, model: &str) -> String {
    let url = format!("http://{}/v1/embeddings", service.address);
    // The timeouts are long, because the machine may be busy and this test does not measure speed.
    format!(
        "embedding: {{provider: http, url: '{url}', model: {model}, batch: 2, timeoutSeconds: 10,
           queryTimeoutMillis: 5000, costPerMillionTokens: 0.5}}\n"
    )
}

fn save(engine: &Running, content: &str) -> String {
    let saved = engine.post("/v1/memories", "", &json!({"content": content, "project": "p"}).to_string());
    assert_eq!(saved.status, 201, "{saved:?}");
    saved.json()["id"].as_str().unwrap().to_owned()
}

fn search(engine: &Running, query: &str) -> Value {
    let found = engine.get(&format!("/v1/search?project=p&explain=true&q={query}"));
    assert_eq!(found.status, 200, "{found:?}");
    found.json()
}

fn first(found: &Value) -> &str {
    found["items"][0]["snippet"].as_str().unwrap_or_default()
}

/// Returns the memory that the vector lane ranks first. The combined order depends on the weights.
fn nearest(found: &Value) -> &str {
    let items = found["items"].as_array().unwrap();
    let alike = |item: &Value| {
        let features = item["breakdown"].as_object().unwrap();
        let of_meaning = features.iter().filter(|(name, _)| name.ends_with("static"));
        of_meaning.filter_map(|(_, feature)| feature["value"].as_f64()).fold(0.0, f64::max)
    };
    let best = items.iter().max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|item| alike(item) > 0.0);
    best.and_then(|item| item["snippet"].as_str()).unwrap_or_default()
}

fn wait_for(engine: &Running, model: &str, embedded: u64) {
    eventually("all have vectors", || {
        let status = engine.admin("/embedding").json();
        status["model"] == model
            && status["embedded"] == embedded
            && status["total"] == embedded
            && status["previous"].is_null()
    });
}

/// Returns the value of a metric; 0 if the metric does not exist yet.
fn metric(engine: &Running, name: &str, labels: &[&str]) -> f64 {
    let body = engine.admin("/metrics").body;
    let of = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
    body.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn save_three(engine: &Running) {
    for content in ["the zorbl is in the shed", "the quux is in the attic", "the wibble is in the cellar"] {
        save(engine, content);
    }
}

#[test]
fn a_service_is_used_missed_and_used_again() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let config = embedding(&service, "small");
    let engine = start(data.path(), &config);
    assert_eq!(service.heard(), [], "no request without texts");
    save_three(&engine);
    wait_for(&engine, "small", 3);
    let found = search(&engine, "plinthoid");
    assert_eq!((nearest(&found), &found["degraded"]), ("the quux is in the attic", &Value::Null), "{found}");
    assert_eq!(nearest(&search(&engine, "florpish")), "the zorbl is in the shed");
    let before = service.heard().len();
    engine.get("/v1/search?project=p&mode=lexical&q=shed");
    assert_eq!(service.heard().len(), before, "words alone need no vector");
    assert!(metric(&engine, "memory_provider_tokens_total", &["embedding"]) >= 9.0);
    assert!(metric(&engine, "memory_provider_cost_total", &["embedding"]) > 0.0);

    service.set_down(true);
    let found = search(&engine, "drangle");
    assert_eq!(
        found["degraded"],
        json!([{"lane": "vector", "reason": "embedding_connection_reset"}]),
        "{found}"
    );
    let missed = ["operation=\"search\"", "reason=\"embedding_connection_reset\""];
    assert!(metric(&engine, "memory_degraded_operations_total", &missed) >= 1.0);
    save(&engine, "the zorbl was moved to the garage");
    assert_eq!(first(&search(&engine, "garage")), "the zorbl was moved to the garage");

    service.set_down(false);
    wait_for(&engine, "small", 4);
    eventually("it is used again", || search(&engine, "drangle")["degraded"].is_null());
    assert_eq!(nearest(&search(&engine, "drangle")), "the wibble is in the cellar");
    assert!(engine.terminate().success());

    let engine = start(data.path(), &config);
    wait_for(&engine, "small", 4);
    assert_eq!(nearest(&search(&engine, "plinthoid")), "the quux is in the attic");
    for text in ["in the shed", "in the attic", "in the cellar", "to the garage"] {
        assert_eq!(service.times("small", text), 1, "{text} was embedded once");
    }
}

#[test]
fn another_model_takes_over_without_an_unanswered_search() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let engine = start(data.path(), &embedding(&service, "small"));
    save_three(&engine);
    wait_for(&engine, "small", 3);
    assert!(engine.terminate().success());

    service.hold(Some("larger"));
    let engine = start(data.path(), &embedding(&service, "larger"));
    // Each query is different, so that no response comes from the cache.
    let ask = |n: usize| search(&engine, &format!("plinthoid{n}"));
    let check = |n: usize| {
        let found = ask(n);
        assert_eq!(
            (nearest(&found), &found["degraded"]),
            ("the quux is in the attic", &Value::Null),
            "{found}"
        );
    };
    eventually("the old vectors are there", || engine.admin("/embedding").json()["previous"] == "small");
    (0..20).for_each(check);
    assert!(service.times("small", "plinthoid") >= 20, "the old model embeds queries");
    service.hold(None);
    let mut n = 20;
    eventually("the new model answers", || {
        let found = ask(n);
        n += 1;
        // A search that runs at the moment of the change may have received a query vector of the other model.
        let swapped = json!([{"lane": "vector", "reason": "embedding"}]);
        assert!(found["degraded"].is_null() || found["degraded"] == swapped, "{found}");
        assert_eq!(found["items"].as_array().map(Vec::len), Some(3), "{found}");
        engine.admin("/embedding").json()["previous"].is_null()
    });
    wait_for(&engine, "larger", 3);
    eventually("the new vectors are taken over", || search(&engine, "drangle")["degraded"].is_null());
    assert_eq!(nearest(&search(&engine, "florpish")), "the zorbl is in the shed");
    assert!(service.times("larger", "florpish") >= 1);
    assert_eq!(engine.admin("/embedding").json()["dimension"], meaning("larger", "").len());
}

#[test]
fn one_refused_text_stops_no_other() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let engine = start(data.path(), &embedding(&service, "small"));
    // The refused word is in the second half of a long text. The model accepts the shortened text.
    save(&engine, &format!("the quux is in the attic{}{REFUSED}", " and".repeat(600)));
    save(&engine, REFUSED);
    save(&engine, "the zorbl is in the shed");
    wait_for(&engine, "small", 3);
    assert!(nearest(&search(&engine, "plinthoid")).contains("attic"));
    assert_eq!(nearest(&search(&engine, "florpish")), "the zorbl is in the shed");
    assert_eq!(engine.admin("/embedding").json()["failure"], Value::Null);
}

#[test]
fn what_is_forgotten_has_no_vector() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let config = embedding(&service, "small");
    let engine = start(data.path(), &config);
    save_three(&engine);
    let secret = save(&engine, "zorbl quux wibble: the code is 4711");
    wait_for(&engine, "small", 4);
    assert!(engine.terminate().success());
    let pattern: Vec<u8> =
        meaning("small", "zorbl quux wibble").iter().flat_map(|value| value.to_le_bytes()).collect();
    let holds = |pattern: &[u8]| {
        let files = fs::read_dir(data.path().join("vectors")).unwrap();
        files
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .any(|bytes| bytes.windows(pattern.len()).any(|window| window == pattern))
    };
    assert!(holds(&pattern), "otherwise the check finds nothing");
    assert!(!holds(b"4711"), "texts are not stored");
    let mut erase = binary();
    erase.args(["log", "erase", "--event", &secret, "--reason", "a test", "--data"]).arg(data.path());
    assert!(erase.output().unwrap().status.success());
    let engine = start(data.path(), &config);
    wait_for(&engine, "small", 3);
    assert!(!holds(&pattern));
    assert_eq!(service.times("small", "4711"), 1);
}

#[test]
fn a_reranker_ranks_the_best_and_is_missed() {
    let (data, service) = (tempfile::tempdir().unwrap(), Service::start());
    let url = format!("http://{}/rerank", service.address);
    let config = format!("rerank: {{url: '{url}', model: cross, top: 10, timeoutSeconds: 10}}\n");
    let engine = start(data.path(), &config);
    for content in ["kettle kettle kettle: the blue kettle boils water for tea", "a kettle", "no pot at all"]
    {
        save(&engine, content);
    }
    let found = search(&engine, "kettle");
    assert_eq!((first(&found), &found["degraded"]), ("a kettle", &Value::Null), "{found}");
    let items = found["items"].as_array().unwrap();
    assert!(items[0]["breakdown"]["rerank"]["value"].as_f64().unwrap() > 0.1, "{found}");
    assert!(items.windows(2).all(|pair| pair[0]["score"].as_f64() >= pair[1]["score"].as_f64()), "{found}");
    let checkout =
        engine.post("/v1/checkout", "", &json!({"query": "kettle", "project": "p"}).to_string()).json();
    assert!(checkout["context"].as_str().unwrap().contains("a kettle"), "{checkout}");

    service.set_down(true);
    save(&engine, "another pot");
    let found = search(&engine, "kettle");
    assert_eq!(
        found["degraded"],
        json!([{"lane": "rerank", "reason": "rerank_connection_reset"}]),
        "{found}"
    );
    assert!(first(&found).contains("kettle"), "{found}");
    assert!(found["items"][0]["breakdown"]["rerank"].is_null());
    let missed = ["operation=\"search\"", "reason=\"rerank_connection_reset\""];
    assert!(metric(&engine, "memory_degraded_operations_total", &missed) >= 1.0);
}
