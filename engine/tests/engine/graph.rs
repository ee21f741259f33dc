//! Entities and relations over HTTP.

use serde_json::{Value, json};

use crate::process::{Answer, Running};

fn post(engine: &Running, path: &str, body: &Value) -> Answer {
    engine.post(path, "", &body.to_string())
}

fn entity(name: &str, observations: &[&str]) -> Value {
    json!({"name": name, "entityType": "person", "observations": observations})
}

fn relation(from: &str, to: &str) -> Value {
    json!({"from": from, "to": to, "relationType": "knows"})
}

#[test]
fn what_is_there_already_is_left_as_it_is() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let created =
        post(&engine, "/v1/entities", &json!({"entities": [entity("Ana", &["tall"]), entity("Ben", &[])]}));
    assert_eq!((created.status, &created.json()["seq"]), (201, &json!(3)), "{created:?}");
    let again =
        post(&engine, "/v1/entities", &json!({"entities": [entity("Ana", &["other"]), entity("Cem", &[])]}));
    assert_eq!((again.status, again.json()["entities"].clone()), (201, json!([entity("Cem", &[])])));
    let nothing = post(&engine, "/v1/entities", &json!({"entities": [entity("Ana", &["other"])]}));
    assert_eq!((nothing.status, nothing.json()), (200, json!({"entities": []})));

    let observe = |entity: &str, contents: &[&str]| {
        let body = json!({"observations": [{"entityName": entity, "contents": contents}]});
        post(&engine, "/v1/entities/observations", &body)
    };
    let added = observe("Ana", &["tall", "kind", "kind"]);
    assert_eq!(added.json()["results"], json!([{"entityName": "Ana", "addedObservations": ["kind"]}]));
    let unknown = observe("Nobody", &["x"]);
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "ENTITY_NOT_FOUND"));
    assert!(unknown.body.contains("Entity with name Nobody not found"), "{unknown:?}");

    let related = json!({"relations": [relation("Ana", "Ben"), relation("Ben", "Cem")]});
    assert_eq!(post(&engine, "/v1/relations", &related).json()["relations"], related["relations"]);
    let more = json!({"relations": [relation("Ana", "Ben"), relation("Cem", "Dee")]});
    assert_eq!(post(&engine, "/v1/relations", &more).json()["relations"], json!([relation("Cem", "Dee")]));

    let graph = engine.get("/v1/graph").json();
    assert_eq!(
        graph["entities"],
        json!([entity("Ana", &["tall", "kind"]), entity("Ben", &[]), entity("Cem", &[])])
    );
    assert_eq!(graph["relations"].as_array().unwrap().len(), 3);
    let opened = post(&engine, "/v1/graph/open", &json!({"names": ["Ben", "Nobody"]})).json();
    assert_eq!(
        (&opened["entities"], opened["relations"].as_array().unwrap().len()),
        (&json!([entity("Ben", &[])]), 2)
    );
    assert_eq!(engine.get("/v1/graph/search?q=KIND").json()["entities"][0]["name"], "Ana");
    let near = engine.get("/v1/graph/neighbours?name=Ana&depth=3").json();
    assert_eq!(
        near["neighbours"],
        json!([{"name": "Ben", "hops": 1}, {"name": "Cem", "hops": 2}, {"name": "Dee", "hops": 3}])
    );
    assert_eq!(engine.get("/v1/graph?project=other").json()["entities"], json!([]));
}

#[test]
fn what_ended_is_in_the_past_and_what_comes_again_comes_without_it() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = Running::start(data.path());
    let entities = json!({"entities": [entity("Ana", &["tall", "kind"]), entity("Ben", &[])]});
    post(&engine, "/v1/entities", &entities);
    let past = json!({"relations": [relation("Ana", "Ben")], "valid_from": "2026-01-01T00:00:00Z"});
    post(&engine, "/v1/relations", &past);
    let whole = engine.get("/v1/graph").json();
    let before = whole["applied_seq"].as_u64().unwrap();
    let deletion =
        json!({"deletions": [{"entityName": "Ana", "observations": ["tall", "none"]}], "reason": "r"});
    assert_eq!(post(&engine, "/v1/entities/observations/end", &deletion).json()["ended"], 1);
    let ended = json!({"relations": [relation("Ana", "Ben")], "valid_until": "2026-02-01T00:00:00Z"});
    assert_eq!(post(&engine, "/v1/relations/end", &ended).json()["ended"], 1);
    let nothing = post(&engine, "/v1/relations/end", &ended);
    assert_eq!((nothing.status, nothing.json()), (200, json!({"ended": 0})));
    for restart in 0..2 {
        let now = engine.get("/v1/graph").json();
        assert_eq!((&now["entities"][0], &now["relations"]), (&entity("Ana", &["kind"]), &json!([])));
        let known = engine.get(&format!("/v1/graph?known_at={before}")).json();
        assert_eq!((&known["entities"], &known["relations"]), (&whole["entities"], &whole["relations"]));
        let near = |as_of: &str| engine.get(&format!("/v1/graph/neighbours?name=Ben&as_of={as_of}")).json();
        assert_eq!(near("2026-01-15T00:00:00Z")["neighbours"][0]["name"], "Ana");
        assert_eq!(near("2026-02-01T00:00:00Z")["neighbours"], json!([]));
        assert_eq!(near("2025-12-31T00:00:00Z")["neighbours"], json!([]));
        assert!(engine.terminate().success());
        if restart == 0 {
            std::fs::remove_dir_all(data.path().join("projection")).unwrap();
        }
        engine = Running::start(data.path());
    }
    post(&engine, "/v1/relations", &json!({"relations": [relation("Ben", "Ana")]}));
    assert_eq!(
        post(&engine, "/v1/entities/end", &json!({"entityNames": ["Ana", "Nobody"]})).json()["ended"],
        1
    );
    let now = engine.get("/v1/graph").json();
    assert_eq!((&now["entities"], &now["relations"]), (&json!([entity("Ben", &[])]), &json!([])));
    assert_eq!(post(&engine, "/v1/entities", &json!({"entities": [entity("Ana", &[])]})).status, 201);
    let again = engine.get("/v1/graph").json();
    assert_eq!((&again["entities"][0], &again["relations"]), (&entity("Ana", &[]), &json!([])));
}

#[test]
fn a_key_answers_what_the_first_request_made() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let twice = |path: &str, key: &str, body: &Value| {
        let send = || engine.post(path, &format!("idempotency-key: {key}\r\n"), &body.to_string());
        let (first, again) = (send(), send());
        assert_eq!((first.status, again.status, &again.body), (201, 200, &first.body), "{path}");
        assert!(again.has_header("idempotency-replayed: true"));
        first.json()
    };
    post(&engine, "/v1/entities", &json!({"entities": [entity("Ana", &["tall"])]}));
    let created =
        twice("/v1/entities", "a", &json!({"entities": [entity("Ana", &[]), entity("Ben", &["x", "y"])]}));
    assert_eq!(created["entities"], json!([entity("Ben", &["x", "y"])]));
    let new = |entity: &str, contents: &[&str]| json!({"entityName": entity, "contents": contents});
    let body = json!({"observations": [new("Ana", &["tall"]), new("Ben", &["x", "z"])]});
    let added = twice("/v1/entities/observations", "b", &body);
    let result = |entity: &str, added: &[&str]| json!({"entityName": entity, "addedObservations": added});
    assert_eq!(added["results"], json!([result("Ana", &[]), result("Ben", &["z"])]));
    twice("/v1/relations", "c", &json!({"relations": [relation("Ana", "Ben")]}));
    twice("/v1/relations/end", "d", &json!({"relations": [relation("Ana", "Ben")]}));
    twice(
        "/v1/entities/observations/end",
        "e",
        &json!({"deletions": [{"entityName": "Ben", "observations": ["x"]}]}),
    );
    twice("/v1/entities/end", "f", &json!({"entityNames": ["Ben"]}));
    let other = engine.post("/v1/entities/end", "idempotency-key: f\r\n", r#"{"entityNames":["Ana"]}"#);
    assert_eq!((other.status, other.code().as_str()), (422, "IDEMPOTENCY_CONFLICT"));
}

#[test]
fn one_name_from_many_clients_is_one_entity() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let made: usize = std::thread::scope(|scope| {
        let create = || {
            let answer = post(&engine, "/v1/entities", &json!({"entities": [entity("Ana", &["tall"])]}));
            answer.json()["entities"].as_array().unwrap().len()
        };
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(create)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((made, &engine.get("/v1/log/head").json()["seq"]), (1, &json!(2)));
}

#[test]
fn a_question_leads_to_memories_by_the_names_in_it() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let save = |content: &str, entities: &[&str]| {
        let saved = post(&engine, "/v1/memories", &json!({"content": content, "entities": entities}));
        assert_eq!(saved.status, 201, "{saved:?}");
        saved.json()["id"].clone()
    };
    let (kettle, ana, other) =
        (save("it is blue", &["Blue Kettle"]), save("she is tall", &["Ana"]), save("x", &["Eve"]));
    post(&engine, "/v1/relations", &json!({"relations": [relation("Ana", "Blue Kettle")]}));
    let near = |query: &str| {
        let found = engine.get(&format!("/v1/graph/memories?{query}")).json();
        let hit = |memory: &Value| (memory["id"].clone(), memory["score"].as_f64().unwrap());
        found["memories"].as_array().unwrap().iter().map(hit).collect::<Vec<_>>()
    };
    assert_eq!(near("q=where+is+ANA%27s+kettle"), [(ana.clone(), 1.0), (kettle.clone(), 0.5)]);
    assert_eq!(near("q=the+blue+kettle&project=default"), [(kettle, 1.0), (ana, 0.5)]);
    assert_eq!(near("q=eve"), [(other, 1.0)]);
    assert_eq!(near("q=kettle"), [], "a part of a name is not the name");
    assert_eq!(near("q=ana&project=none"), []);
    let told = save("y", &["Eve", "Ana", "Eve"]);
    let read = engine.get(&format!("/v1/memories/{}", told.as_str().unwrap())).json();
    assert_eq!(read["entities"], json!(["Ana", "Eve"]));
    let body = |n: usize| json!({"content": "x", "entities": vec!["e"; n]});
    assert_eq!(post(&engine, "/v1/memories", &body(32)).status, 201);
    assert_eq!(post(&engine, "/v1/memories", &body(33)).status, 400);
    let long = json!({"content": "x", "entities": ["é".repeat(257)]});
    assert_eq!(post(&engine, "/v1/memories", &long).status, 400);
}

#[test]
fn what_breaks_a_rule_of_the_graph_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let many = |n: usize| (0..n).map(|n| entity(&format!("e{n}"), &["o"])).collect::<Vec<_>>();
    for (path, body, status) in [
        ("/v1/entities", json!({"entities": many(500)}), 201),
        ("/v1/entities", json!({"entities": many(501)}), 400),
        ("/v1/entities", json!({"entities": [{"name": "", "entityType": "t"}]}), 400),
        ("/v1/relations", json!({"relations": []}), 400),
        ("/v1/relations", json!({"relations": [{"from": "a", "to": "b", "type": "t"}]}), 400),
        ("/v1/entities/end", json!({"entityNames": ["a"], "reason": "r".repeat(1001)}), 400),
        ("/v1/graph/open", json!({"names": []}), 400),
    ] {
        assert_eq!(post(&engine, path, &body).status, status, "{path} {:.80}", body.to_string());
    }
    for path in [
        "/v1/graph?limit=0",
        "/v1/graph?limit=1001",
        "/v1/graph/search",
        "/v1/graph/search?q=+",
        "/v1/graph/neighbours",
        "/v1/graph/neighbours?name=a&depth=6",
        "/v1/graph/neighbours?name=a&depth=0",
        "/v1/graph/memories?q=",
    ] {
        assert_eq!(engine.get(path).code(), "INVALID_ARGUMENT", "{path}");
    }
    let kinds = [
        "entity.put",
        "entity.observed",
        "entity.ended",
        "observation.ended",
        "relation.put",
        "relation.ended",
    ];
    for kind in kinds {
        let reserved = json!({"events": [{"type": kind, "payload": {}}]});
        assert_eq!(post(&engine, "/v1/events", &reserved).status, 400, "{kind}");
    }
    let page = engine.get("/v1/graph?limit=300").json();
    assert_eq!((page["entities"].as_array().unwrap().len(), page["next"].is_string()), (300, true));
}
