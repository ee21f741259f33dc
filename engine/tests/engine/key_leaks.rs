//! No key of a client leaves the engine: a thousand are presented in every way in which a client may send one, rightly
//! and wrongly, and everything that the engine writes is searched for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use engine_core::access::{ApiKey, KEY_RANDOM_BYTES};
use serde_json::{Value, json};

use crate::collector::{Collector, Manner};
use crate::process::{Answer, Client, JSON, Running, eventually};

const KEYS: usize = 1_000;
/// The greatest number of keys that a configuration can have.
const DECLARED: usize = 256;
/// What of a key must not be seen. The characters before it are no secret: they identify the key.
const SECRET_FROM: usize = "mek_abcdefgh_".len();
/// A part of this length would already help somebody who guesses.
const PART_BYTES: usize = 16;

fn key(number: usize) -> ApiKey {
    let mut bytes = [0; KEY_RANDOM_BYTES];
    let hash = engine_core::digest::Hash::of(&number.to_le_bytes()).to_string();
    bytes.iter_mut().zip(hash.bytes()).for_each(|(byte, letter)| *byte = letter);
    ApiKey::of_random(&bytes)
}

/// An engine that logs everything, knows the first keys, and demands one of them on the admin port.
fn start(folder: &Path, collector: &Collector) -> Running {
    let mut declared = Vec::new();
    for number in 0..DECLARED {
        let file = folder.join(format!("key-{number}"));
        // Some files have what is no key, or the hash of one.
        let content = match number % 8 {
            0 => format!("sha256:{}", key(number).hash()),
            1 => format!("{} {}", key(number).secret_text(), number),
            _ => key(number).secret_text().to_owned(),
        };
        fs::write(&file, content).unwrap();
        let scopes = if number % 3 == 0 { vec!["read"] } else { vec!["read", "write"] };
        declared.push(json!({
            "name": format!("agent-{number}"), "files": [file], "scopes": scopes, "projects": [format!("p{}", number % 5)],
            "expires": if number % 7 == 0 { "2020-01-01T00:00:00Z" } else { "2100-01-01T00:00:00Z" },
        }));
    }
    let admin = folder.join("admin");
    fs::write(&admin, key(2).secret_text()).unwrap();
    let access = json!({"anonymous": false, "keys": declared, "adminTokenFile": admin, "failedAttemptsPerMinute": 10_000});
    let config = folder.join("config.yaml");
    fs::write(&config, format!("{}log: {{level: trace}}\naccess: {access}\n", collector.configuration()))
        .unwrap();
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let engine = Running::spawn_with(&data, &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

/// One request with a key in one of many places.
fn present(engine: &Running, number: usize) -> Option<Answer> {
    let key = key(number);
    let text = key.secret_text();
    let bearer = format!("authorization: Bearer {text}\r\n");
    let save = json!({"content": "kettle", "project": format!("p{}", number % 5)}).to_string();
    let with_json = format!("{JSON}{bearer}");
    let named = json!({"name": text, "scopes": [text], "projects": [text], "expires": text}).to_string();
    let (mut api, mut admin) = (Client::connect(engine.api).ok()?, Client::connect(engine.admin).ok()?);
    let get = "/v1/search?q=kettle";
    let answer = match number % 14 {
        0 | 1 => api.request("GET", get, &bearer, ""),
        2 => api.request("POST", "/v1/memories", &with_json, &save),
        3 => api.request("GET", &format!("{get}&project=other"), &bearer, ""),
        4 => api.request("GET", get, &format!("authorization: Basic {text}\r\n"), ""),
        5 => api.request("GET", get, &format!("authorization: {text}\r\n"), ""),
        6 => api.request("GET", get, &format!("authorization: Bearer {}\r\n", &text[..text.len() - 1]), ""),
        7 => api.request("GET", get, &format!("{bearer}{bearer}"), ""),
        8 => api.request("GET", &format!("{get}&access_token={text}"), "", ""),
        9 => api.request("GET", get, &format!("x-api-key: {text}\r\ncookie: key={text}\r\n"), ""),
        10 => admin.request("POST", "/tokens", &with_json, &named),
        11 => admin.request("DELETE", &format!("/tokens/{text}"), &bearer, ""),
        12 => admin.request("GET", "/tokens", &bearer, ""),
        _ => {
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": "memory_search", "arguments": {"query": "kettle", "key": text}}});
            let accept = "accept: application/json, text/event-stream\r\n";
            api.request("POST", "/mcp", &format!("{with_json}{accept}"), &call.to_string())
        }
    };
    answer.ok()
}

/// Parts of keys and of their hashes, and the key of each.
fn parts() -> HashMap<Vec<u8>, usize> {
    let of = |number| {
        let key = key(number);
        let secret = key.secret_text().as_bytes()[SECRET_FROM..].to_vec();
        let hash = key.hash().to_string().into_bytes();
        let windows = secret.windows(PART_BYTES).chain(hash.windows(PART_BYTES));
        windows.map(|part| (part.to_vec(), number)).collect::<Vec<_>>()
    };
    (0..KEYS).flat_map(of).collect()
}

/// The keys of which a part is in a text.
fn seen(parts: &HashMap<Vec<u8>, usize>, output: &str) -> BTreeSet<usize> {
    output.as_bytes().windows(PART_BYTES).filter_map(|window| parts.get(window).copied()).collect()
}

#[test]
fn no_key_of_a_client_leaves_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start(Manner::Takes);
    let engine = start(folder.path(), &collector);
    let parts = parts();
    let (mut by_status, mut told) = (BTreeMap::new(), Vec::new());
    for number in 0..KEYS {
        let Some(answer) = present(&engine, number) else { continue };
        *by_status.entry(answer.status).or_insert(0) += 1;
        let text = format!("{}{}", answer.head, answer.body);
        told.extend(seen(&parts, &text).into_iter().map(|_| format!("request {number}: {text}")));
    }
    println!("answers by status: {by_status:?}");
    assert!(told.is_empty(), "{} answers have a key: {}", told.len(), told.join("\n"));
    for status in [200, 201, 401, 403] {
        assert!(by_status.get(&status).is_some_and(|number| *number >= 5), "{status}: {by_status:?}");
    }
    let admin = format!("authorization: Bearer {}\r\n", key(2).secret_text());
    let ask = |path: &str| Client::connect(engine.admin).unwrap().request("GET", path, &admin, "").unwrap();
    let pages = ["/metrics", "/metrics/json", "/health", "/tokens", "/"].map(|path| ask(path).body).concat();
    engine.send_terminate();
    eventually("stopped", || engine.said().contains("\"message\":\"stopped\""));
    let said = engine.said();
    let records = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let decisions = records.filter(|record| record["target"] == "access").count();
    assert!(decisions > 300, "{decisions} decisions were recorded");
    let spans = collector.text();
    assert!(collector.spans().len() > 500, "requests have spans");
    for output in [&said, &pages, &spans] {
        assert_eq!(seen(&parts, output), BTreeSet::new());
        let with_one = format!("{output}{}", key(500).secret_text());
        assert_eq!(seen(&parts, &with_one), BTreeSet::from([500]), "the search itself works");
    }
}
