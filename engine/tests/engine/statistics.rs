//! The contents of one project do not change the results in another project, and items are ranked like memories.

use serde_json::{Value, json};

use crate::process::Running;

/// A conversation and questions, with expected values computed by another program.
const LABELLED: &str = include_str!("../../core/tests/fixtures/retrieval/features.json");

const QUESTIONS: [&str; 5] = [
    "what does ana like to eat",
    "Where is the kettle?",
    "kettle",
    "blue kettle kitchen",
    "how is the stove lit",
];
const TEXTS: [&str; 8] = [
    "The blue kettle stands in the small kitchen.",
    "Ana prefers pizza with olives.",
    "The stove runs on gas and needs a match.",
    "Deploys failed because the volume was full.",
    "The dentist is on Tuesday.",
    "A kettle holds two litres.",
    "Ben moved to Lisbon in spring.",
    "The meeting about the budget is on Friday.",
];

fn put(engine: &Running, body: &Value) {
    let answer = engine.connect().request("PUT", "/v1/items", "", &body.to_string()).unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
}

fn fill(engine: &Running, project: &str) {
    for (n, text) in TEXTS.iter().enumerate() {
        let memory = json!({"content": text, "project": project, "session": "s", "actor": "ana", "title": format!("t{n}")});
        assert_eq!(engine.post("/v1/memories", "", &memory.to_string()).status, 201);
        put(
            engine,
            &json!({"project": project, "namespace": ["n", "m"], "key": n.to_string(), "value": {"text": text}}),
        );
    }
    let entities = json!({"project": project, "entities": [{"name": "kettle", "entityType": "thing", "observations": ["blue"]}]});
    assert_eq!(engine.post("/v1/entities", "", &entities.to_string()).status, 201);
    let about = json!({"content": "It was bought in May.", "project": project, "entities": ["kettle"]});
    assert_eq!(engine.post("/v1/memories", "", &about.to_string()).status, 201);
}

/// Removes every field that depends on the position in the log.
fn without_places(answer: &mut Value) {
    match answer {
        Value::Object(fields) => {
            for name in
                ["applied_seq", "seq", "id", "hash", "citation", "version", "same_as", "tokens", "validity"]
            {
                fields.remove(name);
            }
            fields.retain(|name, _| !name.ends_with("_at") && name != "context");
            fields.values_mut().for_each(without_places);
        }
        Value::Array(items) => items.iter_mut().for_each(without_places),
        _ => {}
    }
}

/// Returns every kind of response that contains scores.
fn answers(engine: &Running, project: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for question in QUESTIONS {
        let q = question.replace(' ', "+");
        for mode in ["hybrid", "lexical"] {
            all.push(
                engine.get(&format!("/v1/search?q={q}&project={project}&mode={mode}&explain=true")).json(),
            );
        }
        all.push(engine.get(&format!("/v1/graph/memories?q={q}&project={project}")).json());
        let checkout = json!({"query": question, "project": project, "token_budget": 500}).to_string();
        all.push(engine.post("/v1/checkout", "", &checkout).json());
        let items = json!({"query": question, "project": project, "namespace_prefix": ["n"]}).to_string();
        all.push(engine.post("/v1/items/search", "", &items).json());
        let store = json!({"query": question, "namespace_prefix": ["n"]}).to_string();
        all.push(
            engine.post("/store/items/search", &format!("x-memory-project: {project}\r\n"), &store).json(),
        );
    }
    all.iter_mut().for_each(without_places);
    assert!(all.iter().all(|answer| answer["degraded"] == Value::Null), "{all:?}");
    all
}

/// Adds a thousand memories and a few hundred items with the same words in another distribution.
fn crowd(engine: &Running) {
    for batch in 0..10 {
        let memory = |n: usize| {
            let text = TEXTS[(batch + n) % TEXTS.len()];
            json!({"content": format!("kettle kettle number {n} {batch}: {text}"), "project": format!("other{}", n % 3)})
        };
        let batch = json!({"memories": (0..100).map(memory).collect::<Vec<_>>()}).to_string();
        assert_eq!(engine.post("/v1/memories/batch", "", &batch).status, 201);
    }
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for n in 0..40 {
                    let text = format!("kettle pizza {} {n}", TEXTS[n % TEXTS.len()]);
                    put(engine, &json!({"project": "beta", "namespace": ["n"], "key": format!("{thread} {n}"), "value": text}));
                }
            });
        }
    });
}

#[test]
fn another_project_changes_no_score() {
    let (alone, among) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = Running::start(alone.path());
    fill(&engine, "mine");
    let before = answers(&engine, "mine");
    crowd(&engine);
    assert_eq!(answers(&engine, "mine"), before, "later contents");
    let other = Running::start(among.path());
    crowd(&other);
    fill(&other, "mine");
    assert_eq!(answers(&other, "mine"), before, "earlier contents");
    // Proves that a difference would be detected.
    put(&other, &json!({"project": "mine", "namespace": ["n"], "key": "more", "value": "one kettle more"}));
    assert_ne!(answers(&other, "mine"), before);
}

/// Without a memory budget for catalogs, only the lexical lane ranks, with the statistics of the project.
#[test]
fn another_project_changes_no_score_where_memory_is_short() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    std::fs::write(&config, "retrieval: {maxMemoryBytes: 1048576}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    crate::process::eventually("ready", || engine.admin("/readyz").status == 200);
    let long = "word ".repeat(60_000);
    for n in 0..12 {
        let memory = json!({"content": format!("{long} {n}"), "project": "mine"});
        assert_eq!(engine.post("/v1/memories", "", &memory.to_string()).status, 201);
    }
    for n in 0..2_000 {
        let unusual: String = (0..30).map(|m| format!("w{:x} ", n * 31 + m * 7919)).collect();
        if n % 100 == 0 {
            let each: Vec<Value> = (0..100)
                .map(|m| json!({"content": format!("{unusual} x{n}y{m}z {}", TEXTS[m % TEXTS.len()]), "project": "mine"}))
                .collect();
            let batch = json!({"memories": each}).to_string();
            assert_eq!(engine.post("/v1/memories/batch", "", &batch).status, 201);
        }
    }
    let asked = || {
        let mut all: Vec<Value> = QUESTIONS
            .iter()
            .flat_map(|question| ["hybrid", "lexical"].map(|mode| (question.replace(' ', "+"), mode)))
            .map(|(q, mode)| engine.get(&format!("/v1/search?q={q}&project=mine&mode={mode}")).json())
            .collect();
        all.iter_mut().for_each(without_places);
        all
    };
    // Catalogs follow the log with a delay, so the report that there is no budget is delayed too.
    crate::process::eventually("no capacity for all of it", || asked()[0]["degraded"] != Value::Null);
    let before = asked();
    crowd(&engine);
    assert_eq!(asked(), before);
}

/// The same turns are saved as memories and as items. The same queries return the same results, order and scores.
#[test]
fn items_are_found_as_memories_are() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let labelled: Value = serde_json::from_str(LABELLED).unwrap();
    let turns = labelled["memories"].as_array().unwrap();
    for (n, turn) in turns.iter().enumerate() {
        let mut memory = json!({"content": turn["text"], "title": n.to_string()});
        let mut item = json!({"namespace": ["talk"], "key": n.to_string(), "value": {"text": turn["text"]}});
        memory.as_object_mut().unwrap().remove("title");
        for name in ["session", "actor"] {
            if !turn[name].is_null() {
                memory[name] = turn[name].clone();
                item[name] = turn[name].clone();
            }
        }
        memory["project"] = json!("memories");
        item["project"] = json!("items");
        assert_eq!(engine.post("/v1/memories", "", &memory.to_string()).status, 201);
        put(&engine, &item);
    }
    let mut compared = 0;
    for asked in labelled["queries"].as_array().unwrap() {
        let query = asked["query"].as_str().unwrap();
        let q = form(query);
        let memories = engine.get(&format!("/v1/search?q={q}&project=memories&limit=50")).json();
        let body = json!({"query": query, "project": "items", "limit": 50}).to_string();
        let items = engine.post("/v1/items/search", "", &body).json();
        let (memories, items) = (memories["items"].as_array().unwrap(), items["items"].as_array().unwrap());
        let scores = |all: &[Value]| -> Vec<f64> {
            all.iter().map(|one| one["score"].as_f64().unwrap().clamp(0.0, 1.0)).collect()
        };
        assert_eq!(scores(items), scores(memories), "{query}");
        for (item, memory) in items.iter().zip(memories) {
            // A snippet may begin in the middle of the text.
            let shown = memory["snippet"].as_str().unwrap().trim_start_matches("… ");
            let text = item["value"]["text"].as_str().unwrap();
            assert!(text.ends_with(shown), "{query}: {text}, not {shown}");
        }
        compared += items.len();
    }
    assert!(compared > 40, "{compared}");
}

/// A query, URL-encoded.
fn form(query: &str) -> String {
    query
        .bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

#[test]
fn a_search_for_items_is_narrowed_and_sees_what_is_there_now() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let item = |namespace: &[&str], key: &str, value: Value| {
        put(&engine, &json!({"namespace": namespace, "key": key, "value": value}));
    };
    let found = |body: &Value| -> Vec<String> {
        let answer = engine.post("/v1/items/search", "", &body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert!(
            answer["items"]
                .as_array()
                .unwrap()
                .iter()
                .all(|item| (0.0..=1.0).contains(&item["score"].as_f64().unwrap()))
        );
        answer["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["key"].as_str().unwrap().to_owned())
            .collect()
    };
    item(&["users", "ana"], "food", json!({"text": "Her favourite dish is pizza", "n": 1}));
    item(&["users", "ben"], "food", json!({"text": "He never eats pizza", "n": 2}));
    item(&["usersother"], "x", json!({"text": "pizza pizza pizza"}));
    let ask = |prefix: &[&str], filter: Value| {
        found(&json!({"query": "what do they eat: pizza?", "namespace_prefix": prefix, "filter": filter}))
    };
    assert_eq!(ask(&["users", "ana"], json!({})), ["food"]);
    assert_eq!(ask(&["users"], json!({})).len(), 2, "usersother is another namespace");
    assert_eq!(ask(&[], json!({})).len(), 3);
    assert_eq!(ask(&["users"], json!({"n": {"$gt": 1}})).len(), 1);
    assert_eq!(ask(&["users"], json!({"n": 3})), Vec::<String>::new());
    // The item gets a new version, is deleted, and expires.
    item(&["users", "ana"], "food", json!({"text": "Her favourite dish is sushi", "n": 1}));
    let first = |query: &str| found(&json!({"query": query, "namespace_prefix": ["users", "ana"]}));
    assert_eq!(first("sushi"), ["food"]);
    let answer = engine
        .post(
            "/v1/items/search",
            "",
            &json!({"query": "sushi", "namespace_prefix": ["users", "ana"]}).to_string(),
        )
        .json();
    assert!(answer["items"][0]["value"]["text"].as_str().unwrap().contains("sushi"), "{answer}");
    let gone = json!({"namespace": ["users", "ana"], "key": "food"}).to_string();
    assert_eq!(engine.connect().request("DELETE", "/v1/items", "", &gone).unwrap().status, 201);
    assert_eq!(first("sushi"), Vec::<String>::new());
    put(
        &engine,
        &json!({"namespace": ["users", "ana"], "key": "food", "value": "sushi", "expires_at": "2020-01-01T00:00:00Z"}),
    );
    assert_eq!(first("sushi"), Vec::<String>::new());
    item(&["users", "ana"], "food", json!("sushi again"));
    assert_eq!(first("sushi"), ["food"]);
}

#[test]
fn a_read_gives_an_item_its_time_again() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let ttl = json!({"namespace": ["n"], "key": "k", "value": {"a": "kettle"}, "ttl": 0.2}).to_string();
    assert_eq!(engine.connect().request("PUT", "/store/items", "", &ttl).unwrap().status, 204);
    put(
        &engine,
        &json!({"namespace": ["n"], "key": "dated", "value": {"a": "kettle"}, "expires_at": "2999-01-01T00:00:00Z"}),
    );
    let until = |key: &str| -> String {
        let item = engine.get(&format!("/v1/items?namespace=n&key={key}")).json();
        item["expires_at"].as_str().unwrap().to_owned()
    };
    let (first, updated) =
        (until("k"), engine.get("/v1/items?namespace=n&key=k").json()["updated_at"].clone());
    let pause = || std::thread::sleep(std::time::Duration::from_millis(1_600));
    assert_eq!(engine.get("/store/items?namespace=n&key=k").status, 200);
    assert_eq!(until("k"), first, "nearly all of its lifetime is left");
    pause();
    assert_eq!(engine.get("/store/items?namespace=n&key=k&refresh_ttl=false").status, 200);
    assert_eq!(until("k"), first, "no more was requested");
    assert_eq!(engine.get("/store/items?namespace=n&key=k").json()["value"], json!({"a": "kettle"}));
    let second = until("k");
    assert!(second > first, "{second} {first}");
    pause();
    let search = json!({"namespace_prefix": ["n"], "query": "kettle"}).to_string();
    let found = engine.post("/store/items/search", "", &search).json();
    assert_eq!(found["items"].as_array().unwrap().len(), 2, "{found}");
    let third = until("k");
    assert!(third > second, "{third} {second}");
    let after = engine.get("/v1/items?namespace=n&key=k").json();
    assert_eq!((&after["version"], &after["updated_at"]), (&json!(1), &updated), "a read changes nothing");
    assert_eq!(until("dated"), "2999-01-01T00:00:00Z", "a date is a date");
    assert_eq!(engine.get("/store/items?namespace=n&key=k&refresh_ttl=maybe").status, 400);
}
