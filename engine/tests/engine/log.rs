//! Segments, checkpoints, proofs, anchors and the commands of `memory-engine log`, tested with the binary.

use std::fs;
use std::path::Path;

use engine_core::checkpoint::Checkpoint;
use engine_core::digest::Hash;
use engine_core::merkle::{leaf, verify_consistency, verify_inclusion};
use engine_core::note::VerifierKey;
use serde_json::{Value, json};

use crate::process::{Answer, Client, JSON, Running, binary, eventually, segment, verify};

fn ask(engine: &Running, method: &str, path: &str, body: &str) -> Answer {
    Client::connect(engine.admin).unwrap().request(method, path, JSON, body).unwrap()
}

fn log(data: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = binary().arg("log").args(arguments).arg("--data").arg(data).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn hashes(value: &Value) -> Vec<Hash> {
    let texts = value.as_array().unwrap().iter();
    texts.map(|text| Hash::from_hex(text.as_str().unwrap().as_bytes()).unwrap()).collect()
}

fn hash(value: &Value) -> Hash {
    Hash::from_hex(value.as_str().unwrap().as_bytes()).unwrap()
}

/// A client can verify a receipt with nothing but the verifier key.
#[test]
fn a_receipt_proves_an_event_and_a_later_checkpoint_extends_an_earlier_one() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..7 {
        engine.save(&format!("number {n}"));
    }
    let first = ask(&engine, "GET", "/checkpoint", "").json();
    let key = VerifierKey::parse(first["checkpoint"]["key"].as_str().unwrap()).unwrap();
    assert_eq!(first["checkpoint"]["size"], 7);
    engine.save("one more");
    let answer = engine.get("/v1/log/proof/3");
    let receipt = answer.json();
    let note = receipt["checkpoint"].as_str().unwrap();
    let (checkpoint, _) = Checkpoint::open(note.as_bytes(), std::slice::from_ref(&key)).unwrap();
    let stored = fs::read_to_string(segment(data.path())).unwrap();
    let line = stored.lines().nth(3).unwrap().strip_prefix("{\"event\":").unwrap();
    let envelope = line.split(",\"hash\":").next().unwrap();
    assert!(answer.body.contains(envelope), "as stored");
    assert_eq!(Hash::of(envelope.as_bytes()), hash(&receipt["hash"]));
    let event = hash(&receipt["hash"]);
    verify_inclusion(&leaf(&event), 2, checkpoint.size, &hashes(&receipt["proof"]), &checkpoint.root)
        .unwrap();
    let second = ask(&engine, "GET", "/checkpoint?extends=7", "").json();
    let (old, new) = (hash(&first["checkpoint"]["root"]), hash(&second["checkpoint"]["root"]));
    verify_consistency(7, &old, 8, &new, &hashes(&second["consistency"])).unwrap();
    let between = engine.get("/v1/log/consistency?from=7&to=8").json();
    assert_eq!(
        (&between["from_root"], &between["proof"]),
        (&first["checkpoint"]["root"], &second["consistency"])
    );
    assert!(engine.get("/v1/log/checkpoint").body.starts_with("memory-engine/"));
    assert_eq!(engine.get("/v1/log/proof/9").status, 404);
    assert_eq!(ask(&engine, "GET", "/checkpoint?extends=99", "").status, 400);
    assert!(engine.terminate().success());
    let (code, printed, said) = log(data.path(), &["proof", "8"]);
    assert_eq!(code, Some(0), "{said}");
    let receipt: Value = serde_json::from_str(&printed).unwrap();
    let note = receipt["checkpoint"].as_str().unwrap();
    let (checkpoint, _) = Checkpoint::open(note.as_bytes(), &[key]).unwrap();
    let proof = hashes(&receipt["proof"]);
    verify_inclusion(&leaf(&hash(&receipt["hash"])), 7, checkpoint.size, &proof, &checkpoint.root).unwrap();
}

/// Reads, a restart and a verification do not depend on the number of segments or on which of them are compressed.
#[test]
fn the_log_goes_on_through_segments() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for round in 0..4_u64 {
        for n in 0..3 {
            engine.save(&format!("round {round} number {n}"));
        }
        let rotated = ask(&engine, "POST", "/rotate", "").json();
        assert_eq!(rotated, json!({"segment": round + 2, "first_seq": 3 * round + 4}));
    }
    assert_eq!(ask(&engine, "POST", "/rotate", "").json()["segment"], 5, "a segment without events stays");
    engine.save("in the last one");
    eventually("sealed ones are compressed", || {
        fs::read_dir(data.path().join("log"))
            .unwrap()
            .filter(|entry| {
                entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "zst")
            })
            .count()
            == 4
    });
    let events = engine.get("/v1/events?after=1&limit=1000").json();
    let seqs: Vec<u64> =
        events["events"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (2..=13).collect::<Vec<u64>>());
    eventually("everything is verified", || engine.health()["log"]["integrity"]["verified_through"] == 13);
    engine.kill();
    let engine = Running::start(data.path());
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 13);
    assert_eq!(engine.get("/v1/log/proof/2").json()["seq"], 2);
    let (code, report) = verify(data.path());
    assert_eq!((code, &report["events"], &report["segments"]), (Some(0), &json!(13), &json!(5)));
    let listed: Value = serde_json::from_str(&log(data.path(), &["ls"]).1).unwrap();
    assert_eq!((listed[1]["first_seq"].as_u64(), listed[1]["last_seq"].as_u64()), (Some(4), Some(6)));
    let printed = log(data.path(), &["cat", "--after", "5", "--limit", "3"]).1;
    assert_eq!(printed.lines().count(), 3);
    assert!(printed.starts_with("{\"event\":{\"seq\":6,"), "{printed}");
    assert_eq!(log(data.path(), &["rotate"]).0, Some(2), "the engine has the log");
    let (code, _, said) = log(data.path(), &["rotate", "--admin", &engine.admin.to_string()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(engine.terminate().success());
    let (code, printed, said) = log(data.path(), &["rotate"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(printed.contains("\"segment\": 6"), "nothing to seal: {printed}");
}

/// The log is verified against an anchor recorded elsewhere, before the first write and while the engine runs.
#[test]
fn a_log_that_contradicts_its_anchor_is_read_and_not_written() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..5 {
        engine.save(&format!("number {n}"));
    }
    let checkpoint = ask(&engine, "GET", "/checkpoint", "").json()["checkpoint"].clone();
    let anchor = |size: u64, root: &Value| json!({"state": "known", "anchor": {"origin": checkpoint["origin"], "size": size, "root": root, "rollbacks": 0}});
    let good = anchor(5, &checkpoint["root"]);
    let answer = ask(&engine, "POST", "/anchor", &good.to_string());
    assert_eq!((answer.status, &answer.json()["anchor"]["size"]), (200, &json!(5)));
    assert_eq!(ask(&engine, "POST", "/anchor", "{\"state\":\"lost\"}").status, 400);
    assert!(engine.terminate().success());
    let ahead = anchor(9, &checkpoint["root"]);
    let file = data.path().join("anchor.json");
    fs::write(&file, ahead.to_string()).unwrap();
    let engine = Running::spawn_with(
        data.path(),
        &["--mode".as_ref(), "read-write".as_ref(), "--anchor".as_ref(), file.as_os_str()],
    );
    eventually("a fault", || engine.health()["log"]["integrity"]["fault"]["kind"] == "truncated");
    assert_eq!(engine.save("x").code(), "LOG_CORRUPT");
    eventually("reads continue", || engine.get("/v1/search?q=number").status == 200);
    assert_eq!(engine.total("q=number"), 5);
    let accepted = json!({"number": 1, "from_size": 9, "from_root": checkpoint["root"], "to_size": 5,
                          "to_root": checkpoint["root"], "reason": "a test"});
    let mut newer = anchor(5, &checkpoint["root"]);
    newer["anchor"]["rollbacks"] = json!(1);
    newer["accepted"] = accepted.clone();
    assert_eq!(ask(&engine, "POST", "/anchor", &newer.to_string()).status, 200);
    assert_eq!(
        ask(&engine, "POST", "/anchor", &ahead.to_string()).status,
        200,
        "an older one changes nothing"
    );
    eventually("it is recorded", || engine.get("/v1/log/head").json()["seq"] == 6);
    let recorded = engine.get("/v1/events?after=5").json()["events"][0].clone();
    assert_eq!((&recorded["type"], &recorded["payload"]), (&json!("log.rollback_accepted"), &accepted));
    assert_eq!(engine.save("y").status, 201);
}

/// The log's own checkpoint reveals a dropped tail.
#[test]
fn a_tail_dropped_while_the_engine_is_stopped_is_noticed() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..5 {
        engine.save(&format!("number {n}"));
    }
    assert!(engine.terminate().success());
    let whole = fs::read(segment(data.path())).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(segment(data.path()), &whole[..last]).unwrap();
    let engine = Running::spawn(data.path());
    eventually("a fault", || engine.health()["log"]["integrity"]["fault"]["kind"] == "truncated");
    assert_eq!(engine.save("x").code(), "LOG_CORRUPT");
    eventually("reads continue", || engine.get("/v1/events?after=3").status == 200);
}

/// One checkpoint has signatures of the old and the new key, so that a client with the old key learns the new key.
#[test]
fn a_new_key_is_signed_for_by_the_old_one() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("one");
    let rotated = ask(&engine, "POST", "/rotate-key", "").json();
    let keys = ["old", "new"].map(|which| VerifierKey::parse(rotated[which].as_str().unwrap()).unwrap());
    let event = engine.get("/v1/events?after=1").json()["events"][0].clone();
    assert_eq!((&event["type"], &event["payload"]), (&json!("log.key_rotated"), &rotated));
    let both = fs::read(data.path().join("log/checkpoint")).unwrap();
    assert_eq!(Checkpoint::open(&both, &keys).unwrap().1.len(), 2);
    engine.save("two");
    let after = engine.get("/v1/log/checkpoint").body;
    assert_eq!(Checkpoint::open(after.as_bytes(), &keys).unwrap().1, [&keys[1]]);
    assert!(engine.terminate().success());
    let (code, _, said) = log(data.path(), &["rotate-key"]);
    assert_eq!(code, Some(0), "{said}");
}

/// Whoever keeps an anchor learns the new key, however many events follow, and also if the engine starts again
/// meanwhile. Only then the old key stops signing.
#[test]
fn the_old_key_signs_until_the_keeper_of_the_anchor_knows_the_new_one() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let head = |engine: &Running| ask(engine, "GET", "/checkpoint", "").json()["checkpoint"].clone();
    let record = |engine: &Running| {
        let view = head(engine);
        let anchor =
            json!({"origin": view["origin"], "size": view["size"], "root": view["root"], "rollbacks": 0});
        let given = json!({"state": "known", "anchor": anchor}).to_string();
        assert_eq!(ask(engine, "POST", "/anchor", &given).status, 200);
        given
    };
    engine.save("one");
    let given = record(&engine);
    let rotated = ask(&engine, "POST", "/rotate-key", "").json();
    let keys = ["old", "new"].map(|which| VerifierKey::parse(rotated[which].as_str().unwrap()).unwrap());
    let signatures = |engine: &Running| {
        let note = head(engine)["note"].as_str().unwrap().to_owned();
        Checkpoint::open(note.as_bytes(), &keys).unwrap().1.len()
    };
    assert_eq!(signatures(&engine), 2);
    engine.save("two");
    assert_eq!(signatures(&engine), 2, "the anchor is older than the new key");
    assert!(engine.terminate().success());
    let file = data.path().join("anchor.json");
    fs::write(&file, given).unwrap();
    let engine = Running::spawn_with(
        data.path(),
        &["--mode".as_ref(), "read-write".as_ref(), "--anchor".as_ref(), file.as_os_str()],
    );
    eventually("the log is open", || engine.get("/v1/log/head").status == 200);
    engine.save("three");
    assert_eq!(signatures(&engine), 2, "the anchor is still older");
    record(&engine);
    engine.save("four");
    assert_eq!(signatures(&engine), 1);
}

/// The payload is in no file of the log, and the chain verifies.
#[test]
fn what_is_erased_is_gone_and_the_chain_verifies() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let first = engine.save("the first secret").json()["id"].as_str().unwrap().to_owned();
    ask(&engine, "POST", "/rotate", "");
    let second = engine.save("the second secret").json()["id"].as_str().unwrap().to_owned();
    engine.save("what stays");
    assert!(engine.terminate().success());
    let unknown = "0".repeat(32);
    let refused = log(data.path(), &["erase", "--event", &unknown, "--reason", "a test"]);
    assert_eq!(refused.0, Some(2), "{}", refused.2);
    let erase = ["erase", "--event", &first, "--event", &second, "--reason", "a test"];
    let (code, _, said) = log(data.path(), &erase);
    assert_eq!(code, Some(0), "{said}");
    let (code, report) = verify(data.path());
    assert_eq!((code, &report["forgotten"]), (Some(0), &json!(2)), "{report}");
    let printed = log(data.path(), &["cat"]).1;
    assert!(printed.contains("what stays") && !printed.contains("secret"), "{printed}");
    let engine = Running::start(data.path());
    assert_eq!((engine.total("q=secret"), engine.total("q=stays")), (0, 1));
    assert_eq!(engine.get(&format!("/v1/memories/{first}")).status, 404);
    assert_eq!(engine.get("/v1/events?after=0&limit=1").json()["events"][0]["payload"], Value::Null);
    assert_eq!(engine.save("and on").status, 201);
    eventually("it verifies", || engine.health()["log"]["integrity"]["verified_through"] == 5);
}
