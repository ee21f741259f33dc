//! No file contains forgotten content, whatever else happens during the erasure.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Answer, Client, Running, eventually, verify};

fn save(engine: &Running, body: &Value) -> String {
    let saved = engine.post("/v1/memories", "", &body.to_string());
    assert_eq!(saved.status, 201, "{saved:?}");
    saved.json()["id"].as_str().unwrap().to_owned()
}

fn forget(engine: &Running, headers: &str, body: &Value) -> Answer {
    engine.post("/v1/forget", headers, &body.to_string())
}

/// Returns the files under the data directory that contain this text. Compressed files are decompressed first.
pub(crate) fn holding(data: &Path, text: &str) -> Vec<String> {
    fn walk(dir: &Path, text: &[u8], found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, text, found);
                continue;
            }
            let Ok(mut bytes) = fs::read(&path) else { continue };
            if path.to_string_lossy().contains(".zst") {
                // A file that is still being written cannot be decompressed and is searched as it is.
                bytes = zstd::decode_all(bytes.as_slice()).unwrap_or(bytes);
            }
            if bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text)) {
                found.push(path.display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    walk(data, text.as_bytes(), &mut found);
    found
}

fn place<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let places = answer["places"].as_array().unwrap();
    places.iter().find(|place| place["place"] == name).unwrap_or_else(|| panic!("{name} is not in {answer}"))
}

pub(crate) fn compressed(data: &Path) -> usize {
    let names = fs::read_dir(data.join("log")).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.extension().is_some_and(|extension| extension == "zst")).count()
}

#[test]
fn what_is_forgotten_is_in_no_file() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let filler = |n: usize| json!({"content": format!("filler number {n} {}", "words ".repeat(n % 50))});
    (0..60).for_each(|n| drop(save(&engine, &filler(n))));
    let old = save(
        &engine,
        &json!({"content": "xyzzyold was said in words nobody repeats", "title": "xyzzytitle", "tags": ["xyzzytag"]}),
    );
    let invalidate = format!("/v1/memories/{old}/invalidate");
    assert_eq!(engine.post(&invalidate, "", r#"{"reason":"xyzzyreason, which repeats it"}"#).status, 201);
    assert_eq!(engine.admin_post("/rotate", "").status, 200);
    eventually("the first segment is compressed", || compressed(data.path()) == 1);
    let keyed = engine.post(
        "/v1/memories",
        "idempotency-key: k\r\n",
        r#"{"content":"xyzzynew is \"quoted\" and stands at the end"}"#,
    );
    let new = keyed.json()["id"].as_str().unwrap().to_owned();
    (60..90).for_each(|n| drop(save(&engine, &filler(n))));
    fs::create_dir_all(data.path().join("log/torn")).unwrap();
    fs::write(data.path().join("log/torn/a.bin"), "xyzzytorn").unwrap();
    assert!(!holding(data.path(), "xyzzy").is_empty(), "the search below can fail");
    let head = engine.get("/v1/log/head").json();
    let proof = engine.get("/v1/log/proof/61").json();

    let asked = json!({"ids": [old, new], "reason": "a test", "dry_run": true});
    let dry = forget(&engine, "", &asked);
    assert_eq!(
        (dry.status, &dry.json()["memories"], &dry.json()["about"]),
        (200, &json!(2), &json!(1)),
        "{dry:?}"
    );
    assert_eq!(engine.get("/v1/log/head").json(), head, "nothing was written");

    let key = "idempotency-key: forget\r\n";
    let done = forget(&engine, key, &json!({"ids": [old, new], "reason": "a test"}));
    assert_eq!(done.status, 200, "{done:?}");
    let answer = done.json();
    assert_eq!((&answer["memories"], &answer["complete"]), (&json!(2), &json!(true)), "{answer}");
    for name in ["log_segments", "rows", "database_files"] {
        assert_eq!(
            (&place(&answer, name)["state"], &place(&answer, name)["found"]),
            (&json!("gone"), &json!(0)),
            "{answer}"
        );
    }
    assert_eq!(place(&answer, "log_segments")["changed"], 2);
    assert_eq!(place(&answer, "torn_bytes")["changed"], 1);
    assert_eq!(place(&answer, "backups")["state"], "out_of_reach");
    assert_eq!(holding(data.path(), "xyzzy"), Vec::<String>::new());

    for moment in ["", "?as_of=2999-01-01T00:00:00Z", &format!("?known_at={}", head["seq"])] {
        for id in [&old, &new] {
            assert_eq!(engine.get(&format!("/v1/memories/{id}{moment}")).code(), "ENTRY_NOT_FOUND");
        }
    }
    assert_eq!(engine.total(&format!("q=xyzzynew&known_at={}", head["seq"])), 0);
    assert_eq!(engine.total("q=filler"), 90, "nothing else went");
    let after = engine.get("/v1/log/proof/61").json();
    assert_eq!((&after["hash"], &after["envelope"]), (&proof["hash"], &proof["envelope"]), "proofs stay");
    let again = forget(&engine, key, &json!({"ids": [old, new], "reason": "a test"}));
    assert_eq!((again.status, &again.json()["recorded"]), (200, &answer["recorded"]), "{again:?}");
    assert_eq!(forget(&engine, "", &json!({"ids": [old], "reason": "again"})).code(), "ENTRY_NOT_FOUND");
    eventually("everything verifies", || engine.health()["log"]["integrity"]["verified_at"] != Value::Null);
    assert_eq!(engine.health()["log"]["integrity"]["fault"], Value::Null);
    assert!(engine.terminate().success());
    let (code, report) = verify(data.path());
    assert_eq!((code, &report["forgotten"]), (Some(0), &json!(3)), "{report}");
    a_rebuild_gives_the_same_rows(data.path());
    assert_eq!(holding(data.path(), "xyzzy"), Vec::<String>::new());
}

fn a_rebuild_gives_the_same_rows(data: &Path) {
    let engine = Running::start(data);
    let digest = || engine.health()["projection"]["digest"].clone();
    eventually("rows are looked over", || !digest().is_null());
    let before = digest();
    assert_eq!(engine.admin_post("/rebuild", "").status, 202);
    eventually("a projection built anew has the same rows", || {
        engine.health()["projection"]["rebuild"].is_null() && digest() == before
    });
}

/// These are more memories than the engine removes word by word, so it replaces the projection with a new one.
#[test]
fn words_of_many_memories_leave_the_index() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for round in 0..6 {
        let memories: Vec<Value> = (0..100)
            .map(|n| json!({"content": format!("frotz{round}x{n} plover{} {}", n % 7, "words ".repeat(n)), "project": (if n % 2 == 0 { "gone" } else { "kept" })}))
            .collect();
        assert_eq!(
            engine.post("/v1/memories/batch", "", &json!({"memories": memories}).to_string()).status,
            201
        );
    }
    // It is the only word with its first letter, so the index stores it letter by letter.
    save(&engine, &json!({"content": "zzyzx", "project": "gone"}));
    assert!(
        holding(data.path(), "zzyzx").iter().any(|path| path.contains("projection")),
        "the search below can fail"
    );
    let answer = forget(&engine, "", &json!({"project": "gone", "reason": "a test"})).json();
    assert_eq!((&answer["memories"], &answer["complete"]), (&json!(301), &json!(true)), "{answer}");
    for word in ["frotz0x0", "frotz3x42", "frotz5x98"] {
        assert_eq!(holding(data.path(), &format!("{word} plover")), Vec::<String>::new());
        assert_eq!(engine.total(&format!("q={word}")), 0);
    }
    assert_eq!(holding(data.path(), "zzyzx"), Vec::<String>::new());
    assert_eq!((engine.total("q=plover1"), engine.total("q=frotz3x43")), (48, 1));
    eventually("the index fits the rows", || !engine.health()["projection"]["checked_at"].is_null());
}

#[test]
fn a_project_a_session_and_what_is_meant_by_mistake() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..30 {
        let body = json!({"content": format!("plugh number {n}"), "project": (if n % 2 == 0 { "a" } else { "b" }), "session": format!("s{}", n % 3)});
        save(&engine, &body);
    }
    let refused = [
        json!({"reason": "everything"}),
        json!({"project": "a"}),
        json!({"project": "a", "reason": ""}),
        json!({"project": "a", "ids": ["0".repeat(32)], "reason": "r"}),
        json!({"ids": [], "reason": "r"}),
        json!({"ids": vec!["0".repeat(32); 1001], "reason": "r"}),
    ];
    for body in refused {
        assert_eq!(forget(&engine, "", &body).status, 400, "{body:.80}");
    }
    let unknown = forget(&engine, "", &json!({"ids": ["0".repeat(32)], "reason": "r"}));
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "ENTRY_NOT_FOUND"));
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 30, "nothing was written");
    let none = forget(&engine, "", &json!({"project": "c", "reason": "r"})).json();
    assert_eq!((&none["memories"], &none["recorded"]), (&json!(0), &json!([])));
    let some = forget(&engine, "", &json!({"project": "a", "session": "s0", "reason": "r"})).json();
    assert_eq!((&some["memories"], &some["complete"]), (&json!(5), &json!(true)), "{some}");
    let rest = forget(&engine, "", &json!({"project": "a", "reason": "r"})).json();
    assert_eq!((&rest["memories"], &rest["recorded"].as_array().unwrap().len()), (&json!(10), &1));
    assert_eq!((engine.total("project=a"), engine.total("project=b")), (0, 15));
    let reserved = r#"{"events":[{"type":"memory.forgotten","payload":{"targets":[]}}]}"#;
    assert_eq!(engine.post("/v1/events", "", reserved).status, 400);
}

fn marks(data: &Path) -> usize {
    let names = fs::read_dir(data.join("log")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("erasing")).count()
}

/// The engine is killed repeatedly at random moments. The next start completes an acknowledged request without a new
/// request.
#[test]
fn a_kill_in_the_middle_is_finished_by_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let mut finished = 0;
    for round in 0..12_u64 {
        let engine = Running::start(data.path());
        let marker = format!("grue{round}grue");
        let ids: Vec<String> = (0..if round % 2 == 0 { 40 } else { 20 })
            .map(|n| save(&engine, &json!({"content": format!("{marker} {n} {}", "dark ".repeat(100))})))
            .collect();
        if round % 3 == 0 {
            assert_eq!(engine.admin_post("/rotate", "").status, 200);
        }
        let api = engine.api;
        let body = json!({"ids": ids, "reason": "a test"}).to_string();
        let asked = std::thread::spawn(move || {
            Client::connect(api).and_then(|mut client| client.request("POST", "/v1/forget", "", &body))
        });
        std::thread::sleep(Duration::from_millis(round * 7));
        engine.kill();
        drop(asked.join().unwrap());
        let engine = Running::start(data.path());
        let head = engine.get("/v1/log/head").json()["seq"].as_u64().unwrap();
        let last = engine.get(&format!("/v1/events?after={}", head - 1)).json()["events"][0]["type"].clone();
        if last == "memory.forgotten" {
            finished += 1;
            let mut left = Vec::new();
            for _ in 0..1000 {
                left = holding(data.path(), &marker);
                if left.is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            assert_eq!(left, Vec::<String>::new(), "round {round}: {} {}", engine.health(), engine.said());
            assert_eq!(engine.total(&format!("q={marker}")), 0);
        } else {
            assert_eq!(engine.total(&format!("q={marker}")), ids.len() as u64, "all or none");
            let again = forget(&engine, "", &json!({"ids": ids, "reason": "a test"})).json();
            assert_eq!(again["complete"], true, "{again}");
        }
        assert_eq!(holding(data.path(), &marker), Vec::<String>::new());
        eventually("the mark is gone", || marks(data.path()) == 0);
        assert!(engine.terminate().success());
        assert_eq!(verify(data.path()).0, Some(0), "round {round}");
    }
    assert!(finished > 0, "every kill came too early: this proves little");
}
