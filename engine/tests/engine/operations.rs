//! Batches, entries, timelines, documents, feedback and histories.

use serde_json::{Value, json};

use crate::process::{Answer, Running, eventually};

fn post(engine: &Running, path: &str, body: &Value) -> Answer {
    engine.post(path, "", &body.to_string())
}

fn ids(items: &Value) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn contents(items: &Value, field: &str) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_batch_is_saved_whole_or_not_at_all_and_once_under_a_key() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = Running::start(data.path());
    let memories: Vec<Value> =
        (0..1000).map(|n| json!({"content": format!("number {n}"), "project": "many"})).collect();
    let body = json!({"memories": memories}).to_string();
    let key = "idempotency-key: many\r\n";
    let saved = engine.post("/v1/memories/batch", key, &body);
    assert_eq!(saved.status, 201, "{:.300}", saved.body);
    let items = saved.json()["items"].clone();
    assert_eq!((items[0]["seq"].as_u64(), items[999]["seq"].as_u64()), (Some(1), Some(1000)));
    let path = format!("/v1/memories/{}", items[499]["id"].as_str().unwrap());
    eventually("a thousand memories are applied", || engine.get(&path).status == 200);
    let read = engine.get(&path).json();
    assert_eq!((&read["content"], &read["hash"]), (&json!("number 499"), &items[499]["hash"]));
    for _ in 0..2 {
        let again = engine.post("/v1/memories/batch", key, &body);
        assert_eq!((again.status, &again.body), (200, &saved.body), "the same ids");
        engine.kill();
        engine = Running::start(data.path());
    }
    let mut bad = memories[..3].to_vec();
    bad[1] = json!({"content": " "});
    let refused = post(&engine, "/v1/memories/batch", &json!({"memories": bad}));
    assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_ARGUMENT"));
    assert!(refused.body.contains("memories[1]: content must not be empty"), "{refused:?}");
    let large = json!({"memories": [{"content": "x".repeat((1 << 20) + 1)}]});
    assert_eq!(post(&engine, "/v1/memories/batch", &large).code(), "PAYLOAD_TOO_LARGE");
    assert_eq!(post(&engine, "/v1/memories/batch", &json!({"memories": []})).status, 400);
    assert_eq!(
        post(&engine, "/v1/memories/batch", &json!({"memories": vec![json!({"content": "x"}); 1001]})).status,
        400
    );
    assert_eq!(engine.total("project=many"), 1000);
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 1000);
}

#[test]
fn entries_come_in_the_order_they_were_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let all = ids(&post(
        &engine,
        "/v1/memories/batch",
        &json!({"memories": [{"content": "a"}, {"content": "b"}, {"content": "c"}]}),
    )
    .json()["items"]);
    let end = format!("/v1/memories/{}/invalidate", all[1]);
    assert_eq!(engine.post(&end, "", "{}").status, 201);
    let nobody = "0".repeat(32);
    let asked = json!([all[2], nobody, all[1], all[0], all[2], "no id"]);
    let answer = post(&engine, "/v1/memories/entries", &json!({"ids": asked})).json();
    assert_eq!(contents(&answer["entries"], "content"), ["c", "a"]);
    assert_eq!(answer["missing"], json!([nobody, "no id"]));
    assert_eq!((&answer["not_valid"][0]["id"], &answer["applied_seq"]), (&json!(all[1]), &json!(4)));
    let then = post(&engine, "/v1/memories/entries", &json!({"ids": asked, "known_at": 2})).json();
    assert_eq!(contents(&then["entries"], "content"), ["b", "a"]);
    assert_eq!(then["missing"], json!([all[2], nobody, "no id"]));
    let before = json!({"ids": [all[0]], "as_of": "2020-01-01T00:00:00Z"});
    assert_eq!(post(&engine, "/v1/memories/entries", &before).json()["not_valid"][0]["id"], json!(all[0]));
    assert_eq!(post(&engine, "/v1/memories/entries", &json!({"ids": []})).status, 400);
    assert_eq!(post(&engine, "/v1/memories/entries", &json!({"ids": vec![nobody; 201]})).status, 400);
    let large: Vec<String> =
        (0..9).map(|_| engine.save(&"x".repeat(1 << 20)).json()["id"].as_str().unwrap().into()).collect();
    assert_eq!(post(&engine, "/v1/memories/entries", &json!({"ids": large})).code(), "PAYLOAD_TOO_LARGE");
}

#[test]
fn a_timeline_is_around_its_anchor() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let memories: Vec<Value> = (0..30)
        .map(|n| json!({"content": format!("n{n}"), "project": (if n % 2 == 0 { "even" } else { "odd" }), "session": format!("s{}", n % 3)}))
        .collect();
    let all = ids(&post(&engine, "/v1/memories/batch", &json!({"memories": memories})).json()["items"]);
    let around = |query: &str| {
        let answer = engine.get(&format!("/v1/timeline?{query}"));
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        let answer = answer.json();
        (contents(&answer["items"], "snippet"), answer["anchor"].as_u64())
    };
    assert_eq!(
        around(&format!("anchor={}&before=2&after=1", all[10])),
        (vec!["n8".into(), "n9".into(), "n10".into(), "n11".into()], Some(2))
    );
    assert_eq!(around("anchor=1&before=5&after=0"), (vec!["n0".into()], Some(0)));
    assert_eq!(
        around("anchor=11&before=1&after=1&project=even"),
        (vec!["n8".into(), "n10".into(), "n12".into()], Some(1))
    );
    assert_eq!(around("anchor=11&before=1&after=1&project=odd"), (vec!["n9".into(), "n11".into()], None));
    assert_eq!(
        around("anchor=11&before=1&after=1&session=s1"),
        (vec!["n7".into(), "n10".into(), "n13".into()], Some(1))
    );
    assert_eq!(around("anchor=2999-01-01T00:00:00Z&before=2"), (vec!["n28".into(), "n29".into()], None));
    assert_eq!(around("anchor=2020-01-01T00:00:00Z&after=1"), (vec!["n0".into()], None));
    assert_eq!(
        around("anchor=28&before=0&after=20&known_at=29"),
        (vec!["n27".into(), "n28".into()], Some(0))
    );
    for bad in
        ["", "anchor=", "anchor=yesterday", "anchor=1&before=21", "anchor=1&after=-1", "anchor=1&nope=1"]
    {
        assert_eq!(engine.get(&format!("/v1/timeline?{bad}")).status, 400, "{bad}");
    }
    assert_eq!(engine.get(&format!("/v1/timeline?anchor={}", "0".repeat(32))).code(), "ENTRY_NOT_FOUND");
}

/// Texts that differ only in a byte order mark, line endings, trailing blanks or the composition of characters count as
/// equal.
#[test]
fn a_document_that_looks_the_same_is_unchanged() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let text =
        "---\nlayout: post\n---\n\n```sh\n# not the title\n```\n\nCafé hours\n==========\n\nOpen at nine.\n";
    let ingest = |content: &str| {
        let documents = json!({"documents": [{"source": "hours.md", "content": content}]});
        post(&engine, "/v1/documents", &documents).json()["items"][0].clone()
    };
    let saved = ingest(text);
    assert_eq!(saved["status"], "saved");
    let id = saved["ids"][0].as_str().unwrap();
    assert_eq!(engine.get(&format!("/v1/memories/{id}")).json()["title"], "Café hours");
    let head = engine.get("/v1/log/head").json();
    for same in [
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}"),
        text.replace('é', "e\u{301}"),
        text.replace("nine.", "nine. \t"),
        format!("{text}\n\n"),
    ] {
        assert_eq!(ingest(&same)["status"], "unchanged", "{same:?}");
    }
    assert_eq!(engine.get("/v1/log/head").json(), head);
    assert_eq!(ingest(&text.replace("nine", "ten"))["status"], "updated");
}

#[test]
fn a_document_is_saved_once_and_a_new_version_replaces_it() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = Running::start(data.path());
    let text = |word: &str| {
        format!(
            "# Kettle\n\n{word} is the colour.\n\n{}\n\n## Care\n\nrinse it\n",
            "It boils water. ".repeat(200)
        )
    };
    let ingest = |engine: &Running, documents: Value| {
        let answer = post(engine, "/v1/documents", &json!({"documents": documents, "project": "kitchen"}));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["items"].clone()
    };
    let three = json!([{"source": "kettle.md", "content": text("blue")}, {"source": "empty.md", "content": " \n"}, {"source": "cup.md", "content": "a cup"}]);
    let items = ingest(&engine, three.clone());
    assert_eq!(
        contents(&items, "status"),
        ["saved", "refused", "saved"],
        "one bad document does not stop the rest"
    );
    assert_eq!((&items[1]["error"]["code"], &items[1]["ids"]), (&json!("INVALID_ARGUMENT"), &json!([])));
    let pieces = items[0]["ids"].as_array().unwrap().clone();
    assert!(pieces.len() > 1);
    let read = |id: &Value| engine.get(&format!("/v1/memories/{}", id.as_str().unwrap())).json();
    let whole: String = pieces.iter().map(|id| read(id)["content"].as_str().unwrap().to_owned()).collect();
    assert_eq!(whole, text("blue"), "nothing is lost");
    assert_eq!(
        (&read(&pieces[0])["title"], &read(&pieces[0])["type"]),
        (&json!("Kettle"), &json!("document"))
    );
    let head = engine.get("/v1/log/head").json();
    engine.kill();
    std::fs::remove_dir_all(data.path().join("projection")).unwrap();
    engine = Running::start(data.path());
    let again = ingest(&engine, three);
    assert_eq!(contents(&again, "status"), ["unchanged", "refused", "unchanged"]);
    assert_eq!((&again[0]["ids"], engine.get("/v1/log/head").json()), (&items[0]["ids"], head));

    let newer = ingest(&engine, json!([{"source": "kettle.md", "content": text("red")}]));
    assert_eq!(
        (&newer[0]["status"], newer[0]["replaced"].as_u64()),
        (&json!("updated"), Some(pieces.len() as u64))
    );
    assert_eq!((engine.total("q=blue&project=kitchen"), engine.total("q=red&project=kitchen")), (0, 1));
    assert_eq!(engine.total(&format!("q=blue&known_at={}", pieces.len())), 1, "history is kept");
    let back = ingest(&engine, json!([{"source": "kettle.md", "content": text("blue")}]));
    assert_eq!(back[0]["status"], "updated", "a reverted version is saved again");
    let other =
        post(&engine, "/v1/documents", &json!({"documents": [{"source": "cup.md", "content": "a cup"}]}))
            .json();
    assert_eq!(other["items"][0]["status"], "saved", "another project");

    let gone = post(&engine, "/v1/forget", &json!({"source": "kettle.md", "reason": "a test"})).json();
    assert_eq!((gone["memories"].as_u64(), &gone["complete"]), (Some(3 * pieces.len() as u64), &json!(true)));
    let anew = ingest(&engine, json!([{"source": "kettle.md", "content": text("blue")}]));
    assert_eq!(anew[0]["status"], "saved", "a forgotten text may be saved again");
    assert_eq!(engine.total("q=blue&project=kitchen"), 1);
    assert_eq!(post(&engine, "/v1/documents", &json!({"documents": []})).status, 400);
    let unnamed = json!({"documents": [{"source": "a.md", "content": "a cup"}], "project": " "});
    assert_eq!(post(&engine, "/v1/documents", &unnamed).status, 400, "all of them at once");
}

#[test]
fn one_document_from_many_clients_is_saved_once() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let body = json!({"documents": [{"source": "a.md", "content": "once"}]});
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(post(&engine, "/v1/documents", &body).status, 200));
        }
    });
    assert_eq!(engine.total("q=once"), 1);
}

#[test]
fn feedback_is_counted_and_forgotten_with_its_memory() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let id = engine.save("the kettle is blue").json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/memories/{id}");
    assert!(engine.get(&path).json()["feedback"].is_null());
    for said in
        [json!({"useful": true}), json!({"rating": -0.5, "note": "grue, not blue", "query_id": "q-1"})]
    {
        let mut said = said;
        said["id"] = json!(id);
        assert_eq!(post(&engine, "/v1/feedback", &said).status, 201, "{said}");
    }
    assert_eq!(engine.get(&path).json()["feedback"], json!({"count": 2, "mean_milli": 250}));
    assert_eq!(engine.get(&format!("{path}?known_at=2")).json()["feedback"]["mean_milli"], 1000);
    for bad in [
        json!({}),
        json!({"useful": true, "rating": 1}),
        json!({"rating": 1.1}),
        json!({"rating": "x"}),
        json!({"useful": true, "note": ""}),
    ] {
        let mut bad = bad;
        bad["id"] = json!(id);
        assert_eq!(post(&engine, "/v1/feedback", &bad).status, 400, "{bad}");
    }
    assert_eq!(
        post(&engine, "/v1/feedback", &json!({"id": "0".repeat(32), "useful": true})).code(),
        "ENTRY_NOT_FOUND"
    );
    assert_eq!(engine.post(&format!("{path}/invalidate"), "", "{}").status, 201);

    let history = engine.get(&format!("{path}/history")).json();
    let kinds = contents(&history["events"], "type");
    assert_eq!(kinds, ["memory.saved", "memory.feedback", "memory.feedback", "memory.invalidated"]);
    assert_eq!(history["events"][2]["payload"]["note"], "grue, not blue");
    assert!(history["events"][0]["citation"].as_str().unwrap().starts_with("1:"));
    let answer = post(&engine, "/v1/forget", &json!({"ids": [id], "reason": "a test"})).json();
    assert_eq!(
        (&answer["memories"], &answer["about"], &answer["complete"]),
        (&json!(1), &json!(3), &json!(true))
    );
    let history = engine.get(&format!("{path}/history")).json();
    assert_eq!(contents(&history["events"], "type"), ["memory.saved", "memory.forgotten"]);
    assert!(history["events"][0]["payload"].is_null());
    assert!(!engine.get("/v1/events?limit=1000").body.contains("grue"));
    assert_eq!(engine.get(&format!("/v1/memories/{}/history", "0".repeat(32))).code(), "ENTRY_NOT_FOUND");
}

#[test]
fn events_are_filtered_and_say_where_to_go_on() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let events: Vec<Value> = (0..100)
        .map(|n| json!({"type": (if n % 10 == 0 { "rare" } else { "usual" }), "project": "p", "session": format!("s{}", n % 2), "payload": {"n": n}}))
        .collect();
    assert_eq!(post(&engine, "/v1/events", &json!({"events": events})).status, 201);
    let page = engine.get("/v1/events?type=rare&limit=3").json();
    let seqs = |page: &Value| {
        page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["seq"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!((seqs(&page), &page["next_after"]), (vec![1, 11, 21], &json!(21)));
    let rest = engine.get("/v1/events?type=rare&after=21").json();
    assert_eq!((seqs(&rest), &rest["next_after"]), (vec![31, 41, 51, 61, 71, 81, 91], &json!(100)));
    assert_eq!(seqs(&engine.get("/v1/events?session=s1&project=p&limit=2").json()), [2, 4]);
    let none = engine.get("/v1/events?project=q").json();
    assert_eq!((seqs(&none), &none["next_after"]), (vec![], &json!(100)));
    assert!(engine.get("/v1/events?limit=2").json()["next_after"].is_null());
}
