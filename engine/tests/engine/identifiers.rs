//! Names that contain personal data: equal names stay equal, different names stay different, and no file contains any
//! of the names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::mcp::done;
use crate::process::{Answer, Running, eventually};

const ANA: &str = "+1 415 555 0132";
const BEN: &str = "+1 415 555 0133";
/// Names in URL-encoded form.
const ANA_IN_URL: &str = "%2B1%20415%20555%200132";
const BEN_IN_URL: &str = "%2B1%20415%20555%200133";

fn post(engine: &Running, path: &str, body: &Value) -> Answer {
    engine.post(path, "", &body.to_string())
}

fn put(engine: &Running, body: &Value) -> Answer {
    engine.connect().request("PUT", "/v1/items", "", &body.to_string()).unwrap()
}

fn delete(engine: &Running, path: &str, body: &Value) -> Answer {
    engine.connect().request("DELETE", path, "", &body.to_string()).unwrap()
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Asserts that no file contains any of these texts.
#[track_caller]
fn nowhere_raw(data: &Path, texts: &[&str]) {
    let mut all = Vec::new();
    files(data, &mut all);
    assert!(all.len() > 3, "{all:?}");
    for path in all {
        let Ok(bytes) = fs::read(&path) else { continue };
        for text in texts {
            let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!found, "{text} is in {path:?}");
        }
    }
}

fn with_policy(data: &Path, policy: &str) -> Running {
    let config = data.join("config.yaml");
    fs::write(&config, format!("policy: {{{policy}}}\n")).unwrap();
    let engine = Running::spawn_with(data, &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

fn key_file(data: &Path) -> PathBuf {
    data.join("keys/pseudonym.key")
}

#[test]
fn two_telephone_numbers_are_two_namespaces_and_each_is_found_by_its_name() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = Running::start(data.path());
    let item = |who: &str, value: &str, version: Value| json!({"namespace": ["users", who], "key": "profile", "value": value, "if_version": version});
    assert_eq!(put(&engine, &item(ANA, "ana", json!(0))).status, 201);
    assert_eq!(put(&engine, &item(BEN, "ben", json!(0))).status, 201);
    let again = put(&engine, &item(ANA, "another", json!(0)));
    assert_eq!((again.status, again.code().as_str()), (409, "VERSION_CONFLICT"));
    for _ in 0..2 {
        for (url, who, value) in [(ANA_IN_URL, ANA, "ana"), (BEN_IN_URL, BEN, "ben")] {
            let read = engine.get(&format!("/v1/items?namespace=users.{url}&key=profile")).json();
            assert_eq!((&read["value"], &read["namespace"]), (&json!(value), &json!(["users", who])));
            let found =
                post(&engine, "/v1/items/search", &json!({"namespace_prefix": ["users", who]})).json();
            assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
            assert_eq!(found["items"][0]["namespace"], json!(["users", who]), "under its original name");
            let versions =
                engine.get(&format!("/v1/items/versions?namespace=users.{url}&key=profile")).json();
            assert_eq!(versions["versions"].as_array().unwrap().len(), 1);
        }
        let listed = post(&engine, "/v1/items/namespaces", &json!({"prefix": ["users", ANA]})).json();
        assert_eq!(listed["namespaces"], json!([["users", ANA]]));
        let all = post(&engine, "/v1/items/namespaces", &json!({})).json();
        let token = all["namespaces"][0][1].as_str().unwrap().to_owned();
        assert!(token.starts_with("[PHONE:") && all["namespaces"].as_array().unwrap().len() == 2, "{all}");
        let by_token = post(&engine, "/v1/items/search", &json!({"namespace_prefix": ["users", token]}));
        assert_eq!(by_token.json()["items"].as_array().unwrap().len(), 1, "a token from a list is the name");
        assert!(engine.terminate().success());
        nowhere_raw(data.path(), &["415 555", "[PHONE]"]);
        engine = Running::start(data.path());
    }
    let gone = json!({"namespace": ["users", ANA], "key": "profile"});
    assert_eq!(delete(&engine, "/v1/items", &gone).status, 201);
    let read = |url: &str| engine.get(&format!("/v1/items?namespace=users.{url}&key=profile")).status;
    assert_eq!((read(ANA_IN_URL), read(BEN_IN_URL)), (404, 200));
}

#[test]
fn two_telephone_numbers_are_two_people() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let entity =
        |name: &str, fact: &str| json!({"name": name, "entityType": "person", "observations": [fact]});
    let both = json!({"entities": [entity(ANA, "tall"), entity(BEN, "kind")]});
    let created = post(&engine, "/v1/entities", &both);
    assert_eq!(
        (created.status, &created.json()["entities"]),
        (201, &both["entities"]),
        "under their original names"
    );
    assert_eq!(post(&engine, "/v1/entities", &both).json()["entities"], json!([]), "they exist");
    let relation = json!({"from": ANA, "to": BEN, "relationType": "knows"});
    let related = post(&engine, "/v1/relations", &json!({"relations": [relation]})).json();
    assert_eq!(related["relations"], json!([relation]));
    let opened = post(&engine, "/v1/graph/open", &json!({"names": [ANA]})).json();
    assert_eq!(opened["entities"], json!([entity(ANA, "tall")]));
    let observed = json!({"observations": [{"entityName": BEN, "contents": ["old"]}]});
    let added = post(&engine, "/v1/entities/observations", &observed).json();
    assert_eq!(added["results"][0]["entityName"], BEN);
    let none = json!({"observations": [{"entityName": "+1 415 555 0199", "contents": ["old"]}]});
    let unknown = post(&engine, "/v1/entities/observations", &none);
    assert!(unknown.body.contains("Entity with name +1 415 555 0199 not found"), "{unknown:?}");
    let near = engine.get(&format!("/v1/graph/neighbours?name={ANA_IN_URL}")).json();
    assert!(
        near["neighbours"][0]["name"].as_str().unwrap().starts_with("[PHONE:"),
        "not named in the request: {near}"
    );
    let found = engine.get(&format!("/v1/graph/search?q={ANA_IN_URL}")).json();
    assert_eq!(
        (found["entities"].as_array().unwrap().len(), &found["entities"][0]["name"]),
        (1, &json!(ANA))
    );
    let memory = json!({"content": "prefers tea", "entities": [ANA], "tags": ["a@example.org"], "type": "b@example.org"});
    assert_eq!(post(&engine, "/v1/memories", &memory).status, 201);
    let about = engine.get(&format!("/v1/graph/memories?q=what+does+{ANA_IN_URL}+like")).json();
    assert_eq!(about["memories"].as_array().unwrap().len(), 1, "{about}");
    assert_eq!(engine.total("type=b%40example.org"), 1);
    let deletion = json!({"deletions": [{"entityName": ANA, "observations": ["tall"]}]});
    assert_eq!(post(&engine, "/v1/entities/observations/end", &deletion).json()["ended"], 1);
    assert_eq!(post(&engine, "/v1/relations/end", &json!({"relations": [relation]})).json()["ended"], 1);
    assert_eq!(post(&engine, "/v1/entities/end", &json!({"entityNames": [ANA]})).json()["ended"], 1);
    let left = engine.get("/v1/graph").json();
    assert_eq!(left["entities"].as_array().unwrap().len(), 1, "{left}");
    assert!(engine.terminate().success());
    nowhere_raw(data.path(), &["415 555", "@example.org", "[PHONE]", "[EMAIL]"]);
}

#[test]
fn the_tools_of_server_memory_tell_two_numbers_apart() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    fs::write(&config, "mcp: {serverMemoryTools: true}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let entity = |name: &str| json!({"name": name, "entityType": "person", "observations": ["x"]});
    let created = done(&engine, "create_entities", &json!({"entities": [entity(ANA), entity(BEN)]}));
    assert_eq!(created["entities"], json!([entity(ANA), entity(BEN)]));
    let opened = done(&engine, "open_nodes", &json!({"names": [BEN]}));
    assert_eq!(opened["entities"], json!([entity(BEN)]));
    done(&engine, "delete_entities", &json!({"entityNames": [BEN]}));
    assert_eq!(done(&engine, "open_nodes", &json!({"names": [ANA, BEN]}))["entities"], json!([entity(ANA)]));
}

#[test]
fn files_of_two_numbers_are_two_files_in_two_directories() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let run = |command: Value| {
        let answer = post(&engine, "/v1/adapters/anthropic-memory", &command).json();
        (answer["content"].as_str().unwrap().to_owned(), answer["is_error"].as_bool().unwrap())
    };
    let path = |who: &str| format!("/memories/people/{who}/notes.md");
    for (who, text) in [(ANA, "tea"), (BEN, "coffee")] {
        let create = json!({"command": "create", "path": path(who), "file_text": text});
        assert_eq!(run(create.clone()), (format!("File created successfully at: {}", path(who)), false));
        assert!(run(create).1, "it exists");
    }
    for (who, text) in [(ANA, "tea"), (BEN, "coffee")] {
        let (seen, failed) = run(json!({"command": "view", "path": path(who)}));
        assert!(!failed && seen.contains(text) && seen.contains(&path(who)), "{seen}");
        let (seen, _) = run(json!({"command": "view", "path": format!("/memories/people/{who}")}));
        assert!(seen.contains(&path(who)), "below a directory with an original name: {seen}");
    }
    let (seen, _) = run(json!({"command": "view", "path": "/memories"}));
    let token = seen.split('/').find(|part| part.starts_with("[PHONE:")).unwrap();
    let token = &token[..=token.find(']').unwrap()];
    assert!(!run(json!({"command": "view", "path": format!("/memories/people/{token}")})).1, "{seen}");
    let below = json!({"command": "create", "path": format!("{}/x", path(ANA)), "file_text": "x"});
    assert_eq!(run(below).0, format!("The path {} is not a directory", path(ANA)));
    let moved =
        json!({"command": "rename", "old_path": path(ANA), "new_path": format!("/memories/{ANA}.md")});
    assert!(!run(moved).1);
    let edit = json!({"command": "str_replace", "path": format!("/memories/{ANA}.md"), "old_str": "tea", "new_str": "mate"});
    assert!(!run(edit).1);
    assert!(!run(json!({"command": "delete", "path": format!("/memories/people/{BEN}")})).1);
    assert!(run(json!({"command": "view", "path": path(BEN)})).1);
    assert!(run(json!({"command": "view", "path": format!("/memories/{ANA}.md")})).0.contains("mate"));
    assert!(engine.terminate().success());
    nowhere_raw(data.path(), &["415 555", "[PHONE]"]);
}

#[test]
fn a_store_of_langgraph_is_keyed_by_numbers() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for who in [ANA, BEN] {
        let body = json!({"namespace": ["users", who], "key": "ana@example.org", "value": {"n": who.len(), "w": who}});
        let answer = engine.connect().request("PUT", "/store/items", "", &body.to_string()).unwrap();
        assert_eq!(answer.status, 204, "{answer:?}");
    }
    let read =
        |url: &str| engine.get(&format!("/store/items?namespace=users.{url}&key=ana%40example.org")).json();
    let ana = read(ANA_IN_URL);
    assert_eq!((&ana["namespace"], &ana["key"]), (&json!(["users", ANA]), &json!("ana@example.org")));
    assert_eq!(ana["value"]["w"], "[PHONE]", "values are redacted");
    let found = post(&engine, "/store/items/search", &json!({"namespace_prefix": ["users", BEN]})).json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let gone = json!({"namespace": ["users", ANA], "key": "ana@example.org"});
    assert_eq!(delete(&engine, "/store/items", &gone).status, 204);
    assert_eq!((read(ANA_IN_URL), read(BEN_IN_URL).is_null()), (Value::Null, false));
    let listed = post(&engine, "/store/namespaces", &json!({"prefix": ["users", BEN]})).json();
    assert_eq!(listed["namespaces"], json!([["users", BEN]]));
}

#[test]
fn a_document_whose_source_has_an_address_is_saved_once_and_forgotten_by_it() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let send = |source: &str, content: &str| {
        let body = json!({"documents": [{"source": source, "content": content}], "session": ANA});
        post(&engine, "/v1/documents", &body).json()["items"][0].clone()
    };
    let (ana, ben) = ("mail/ana@example.org", "mail/ben@example.org");
    let first = send(ana, "a cup of tea for everybody");
    assert_eq!((&first["status"], &first["source"]), (&json!("saved"), &json!(ana)));
    assert_eq!(send(ana, "a cup of tea for everybody")["status"], "unchanged");
    assert_eq!(send(ben, "a pot of coffee")["status"], "saved");
    assert_eq!(send(ana, "a cup of mate for everybody")["status"], "updated");
    let forget = |source: &str| {
        let body = json!({"source": source, "reason": "asked for"});
        post(&engine, "/v1/forget", &body).json()["memories"].clone()
    };
    assert_eq!(forget(ana), 2);
    assert_eq!(forget(ana), 0);
    assert_eq!(forget(ben), 1);
    assert!(engine.terminate().success());
    nowhere_raw(data.path(), &["@example.org", "[EMAIL]", "415 555"]);
}

#[test]
fn projects_sessions_actors_and_keys_are_found_by_their_names() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let save = |who: &str, text: &str| {
        let body = json!({"content": text, "project": who, "session": who, "actor": who});
        engine.post("/v1/memories", &format!("idempotency-key: {who}\r\n"), &body.to_string())
    };
    let first = save(ANA, "the kettle is blue");
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(save(BEN, "the kettle is red").status, 201);
    let again = save(ANA, "the kettle is blue");
    assert_eq!((again.status, &again.body), (200, &first.body), "one key is one write");
    let search = |filter: &str, url: &str| engine.get(&format!("/v1/search?q=kettle&{filter}={url}")).json();
    for filter in ["project", "session"] {
        let found = search(filter, ANA_IN_URL);
        assert_eq!(found["items"].as_array().unwrap().len(), 1, "{filter}: {found}");
        for field in ["project", "session", "actor"] {
            assert_eq!(found["items"][0][field], ANA, "{filter}: original {field}");
        }
    }
    let all = engine.get("/v1/search?q=kettle").json();
    assert!(all["items"][0]["project"].as_str().unwrap().starts_with("[PHONE:"), "{all}");
    let anchor = first.json()["id"].as_str().unwrap().to_owned();
    let timeline = engine.get(&format!("/v1/timeline?anchor={anchor}&session={ANA_IN_URL}")).json();
    assert_eq!(
        (timeline["items"].as_array().unwrap().len(), &timeline["items"][0]["session"]),
        (1, &json!(ANA))
    );
    let events = engine.get(&format!("/v1/events?project={BEN_IN_URL}")).json();
    assert_eq!((events["events"].as_array().unwrap().len(), &events["events"][0]["actor"]), (1, &json!(BEN)));
    let context = json!({"query": "which kettle", "project": BEN, "session": BEN});
    let checkout = post(&engine, "/v1/checkout", &context).json();
    assert!(checkout["context"].as_str().unwrap().contains("red"), "{checkout}");
    let found = done(&engine, "memory_search", &json!({"query": "kettle", "project": ANA}));
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let invalidate = json!({"actor": BEN, "session": BEN});
    assert_eq!(post(&engine, &format!("/v1/memories/{anchor}/invalidate"), &invalidate).status, 201);
    let plan = json!({"rules": {"projects": [{"project": ANA, "max_entries": 1}, {"project": BEN, "max_age_days": 1}]}});
    let planned = post(&engine, "/v1/retention/plan", &plan).json();
    let named = |name: &str| {
        planned["rules"]["projects"].as_array().unwrap().iter().any(|rule| rule["project"] == name)
    };
    assert!(named(ANA) && named(BEN), "{planned}");
    let apply = json!({"plan_hash": planned["plan_hash"], "rules": plan["rules"], "as_of": planned["as_of"],
        "applied_seq": planned["applied_seq"], "actor": ANA});
    assert_eq!(post(&engine, "/v1/retention/apply", &apply).status, 201);
    let custom = json!({"events": [{"type": "note", "project": ANA, "actor": BEN, "session": ANA, "payload": {"to": BEN}}]});
    assert_eq!(post(&engine, "/v1/events", &custom).status, 201);
    let forgotten = post(&engine, "/v1/forget", &json!({"session": ANA, "reason": "asked for"})).json();
    assert_eq!(forgotten["memories"], 1);
    assert!(engine.terminate().success());
    nowhere_raw(data.path(), &["415 555"]);
}

#[test]
fn a_name_with_personal_data_is_refused_where_that_is_wanted() {
    let data = tempfile::tempdir().unwrap();
    let engine = with_policy(data.path(), "identifiers: Refuse");
    let item = json!({"namespace": ["users", ANA], "key": "k", "value": 1});
    let refused = put(&engine, &item);
    assert_eq!((refused.status, refused.code().as_str()), (422, "POLICY_BLOCKED"));
    assert!(
        refused.body.contains("namespace[]") && refused.body.contains("policy.identifiers"),
        "{refused:?}"
    );
    assert!(!refused.body.contains("415"), "{refused:?}");
    for (path, body) in [
        ("/v1/memories", json!({"content": "c", "project": ANA})),
        ("/v1/memories", json!({"content": "c", "actor": ANA})),
        ("/v1/entities", json!({"entities": [{"name": ANA, "entityType": "t"}]})),
    ] {
        assert_eq!(post(&engine, path, &body).code(), "POLICY_BLOCKED", "{body}");
    }
    let keyed = engine.post("/v1/memories", &format!("idempotency-key: {ANA}\r\n"), r#"{"content":"c"}"#);
    assert_eq!(keyed.code(), "POLICY_BLOCKED", "{keyed:?}");
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 0);
}

/// The current policy decides which names are replaced by tokens, in requests and in responses.
#[test]
fn what_was_kept_raw_is_found_again_when_names_are_kept_again_and_forgotten_either_way() {
    let data = tempfile::tempdir().unwrap();
    let engine = with_policy(data.path(), "identifiers: Keep");
    let item = |value: u32| json!({"namespace": ["users", ANA], "key": "k", "value": value});
    assert_eq!(put(&engine, &item(1)).status, 201);
    let memory = json!({"content": "the kettle is blue", "session": ANA});
    assert_eq!(post(&engine, "/v1/memories", &memory).status, 201);
    assert!(engine.terminate().success());
    let at = format!("/v1/items?namespace=users.{ANA_IN_URL}&key=k");
    let engine = with_policy(data.path(), "");
    assert_eq!(engine.get(&at).status, 404, "it is stored under its raw name");
    assert_eq!(put(&engine, &item(2)).status, 201);
    assert_eq!(post(&engine, "/v1/memories", &memory).status, 201);
    assert!(engine.terminate().success());
    let hash = engine_core::digest::Hash::of(ANA.as_bytes());
    let excepted = format!("exceptions: [{{detector: phone, sha256: '{hash}', reason: r, reviewer: w}}]");
    let engine = with_policy(data.path(), &excepted);
    assert_eq!(engine.get(&at).json()["value"], 1, "an exception keeps its name");
    assert!(engine.terminate().success());
    let engine = with_policy(data.path(), "");
    assert_eq!(engine.get(&at).json()["value"], 2);
    let forgotten = post(&engine, "/v1/forget", &json!({"session": ANA, "reason": "asked for"})).json();
    assert_eq!(forgotten["memories"], 2, "under both names");
}

#[test]
fn the_key_of_pseudonyms_is_made_at_the_first_start_for_its_owner_alone() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let mode = fs::metadata(key_file(data.path())).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(mode, fs::metadata(data.path().join("keys/checkpoint.key")).unwrap().permissions().mode());
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 0, "an empty log stays empty");
    let before = fs::read(key_file(data.path())).unwrap();
    assert!(engine.terminate().success());
    fs::remove_file(key_file(data.path())).unwrap();
    assert_eq!(crate::process::verify(data.path()).0, Some(0));
    assert!(!key_file(data.path()).exists(), "a read creates no key");
    let engine = Running::start(data.path());
    eventually("a new key, because the log has no token yet", || key_file(data.path()).exists());
    assert_ne!(fs::read(key_file(data.path())).unwrap(), before);
    drop(engine);
}

#[test]
fn a_lost_key_is_noticed_and_no_name_changes_in_silence() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let item = json!({"namespace": ["users", ANA], "key": "k", "value": 1});
    assert_eq!(put(&engine, &item).json()["version"], 2, "after the event that names the key");
    assert_eq!(put(&engine, &item).json()["version"], 3, "which exists once");
    let events = engine.get("/v1/events").json();
    assert_eq!(events["events"][0]["type"], "log.pseudonyms_keyed");
    assert!(engine.terminate().success());
    let aside = data.path().join("aside");
    fs::rename(key_file(data.path()), &aside).unwrap();
    let other = format!("{}\n", "5c".repeat(32));
    for lost in [None, Some(other)] {
        if let Some(text) = &lost {
            fs::write(key_file(data.path()), text).unwrap();
        }
        let engine = Running::start(data.path());
        eventually("it is reported", || engine.said().contains("pseudonym key of this log is lost"));
        assert!(lost.is_some() || !key_file(data.path()).exists(), "no other key is created");
        let at = format!("/v1/items?namespace=users.{ANA_IN_URL}&key=k");
        let read = engine.get(&at);
        assert_eq!((read.status, read.code().as_str()), (503, "PSEUDONYM_KEY_LOST"));
        assert_eq!(put(&engine, &item).code(), "PSEUDONYM_KEY_LOST");
        let plain = json!({"namespace": ["users", "ana"], "key": "k", "value": 1});
        assert_eq!(put(&engine, &plain).status, 201, "other names still work");
        let metrics = engine.admin("/metrics").body;
        assert!(
            metrics.lines().any(|line| line.starts_with("memory_pseudonym_key_lost") && line.ends_with(" 1"))
        );
        if lost.is_some() {
            fs::copy(&aside, key_file(data.path())).unwrap();
            assert_eq!(engine.get(&at).json()["value"], 1, "once it is back, without a restart");
        }
        assert!(engine.terminate().success());
    }
}

#[test]
fn an_observation_is_added_once_and_ended_by_what_was_sent_or_by_what_is_told() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let said = format!("answers at {ANA}");
    let entity = json!({"name": "Ana", "entityType": "person", "observations": [said]});
    let created = post(&engine, "/v1/entities", &json!({"entities": [entity]})).json();
    assert_eq!(created["entities"][0]["observations"], json!([said]));
    let add = json!({"observations": [{"entityName": "Ana", "contents": [said, "tall"]}]});
    let added = post(&engine, "/v1/entities/observations", &add).json();
    assert_eq!(added["results"][0]["addedObservations"], json!(["tall"]));
    let known = || engine.get("/v1/graph").json()["entities"][0]["observations"].clone();
    assert_eq!(known(), json!(["answers at [PHONE]", "tall"]));
    for text in [said.as_str(), "answers at [PHONE]"] {
        let end = json!({"deletions": [{"entityName": "Ana", "observations": [text]}]});
        assert_eq!(post(&engine, "/v1/entities/observations/end", &end).json()["ended"], 1, "{text}");
        assert_eq!(known(), json!(["tall"]));
        post(&engine, "/v1/entities/observations", &add);
    }
    assert!(engine.terminate().success());
    nowhere_raw(data.path(), &["415 555"]);
}

#[test]
fn what_hangs_on_a_name_without_an_entity_ends_with_it() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let relation = |from: &str, to: &str| json!({"from": from, "to": to, "relationType": "knows"});
    let relations =
        json!({"relations": [relation("Ana", "Ben"), relation("Cem", "Ana"), relation("Ben", "Cem")]});
    assert_eq!(post(&engine, "/v1/relations", &relations).status, 201);
    let end = |names: Value| {
        post(&engine, "/v1/entities/end", &json!({ "entityNames": names })).json()["ended"].clone()
    };
    assert_eq!(end(json!(["Ana", "Nobody"])), 1);
    assert_eq!(end(json!(["Ana"])), 0, "nothing is left to end");
    let entity = |name: &str| json!({"name": name, "entityType": "person", "observations": []});
    post(&engine, "/v1/entities", &json!({"entities": [entity("Ana"), entity("Ben"), entity("Cem")]}));
    let graph = engine.get("/v1/graph").json();
    assert_eq!(
        graph["relations"],
        json!([relation("Ben", "Cem")]),
        "created again, without the old contents"
    );
    let future = json!({"relations": [relation("Dee", "Ana")], "valid_from": "2999-01-01T00:00:00Z"});
    assert_eq!(post(&engine, "/v1/relations", &future).status, 201);
    assert_eq!(end(json!(["Dee"])), 1, "nor names that start later");
    let later = engine.get("/v1/graph/neighbours?name=Ana&as_of=2999-02-01T00:00:00Z").json();
    assert_eq!(later["neighbours"], json!([]));
}

/// A search is never refused because of its names, and must not store them either.
#[test]
fn a_project_that_was_only_asked_for_is_not_remembered() {
    let data = tempfile::tempdir().unwrap();
    let engine = with_policy(data.path(), "identifiers: Refuse");
    post(&engine, "/v1/memories", &json!({"content": "tea", "project": "house"}));
    for path in ["/v1/search?q=tea&project=house", "/v1/search?q=x&project=whatsapp:%2B14155550132"] {
        assert_eq!(engine.get(path).status, 200, "{path}");
    }
    let context = json!({"query": "x", "project": "whatsapp:+14155550132"});
    assert_eq!(post(&engine, "/v1/checkout", &context).status, 200);
    assert!(engine.terminate().success());
    assert_eq!(fs::read_to_string(data.path().join("searched.json")).unwrap(), r#"["house"]"#);
    nowhere_raw(data.path(), &["14155550132"]);

    // The engine removes a file that an earlier version left when it stops the next time.
    fs::write(data.path().join("searched.json"), r#"["whatsapp:+14155550132","house"]"#).unwrap();
    let engine = with_policy(data.path(), "identifiers: Refuse");
    assert_eq!(engine.get("/v1/search?q=tea&project=house").status, 200);
    eventually("created before the first request", || {
        engine.get("/v1/search?q=tea&project=whatsapp:%2B14155550132").status == 200
    });
    assert!(engine.terminate().success());
    nowhere_raw(data.path(), &["14155550132"]);
}
