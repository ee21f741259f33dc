//! Published clients of other products run against an engine.

use std::env;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::process::Running;

/// Python with the clients installed by `make setup`.
pub(crate) fn python() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").expect("a home directory")).join(".cache");
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let python = cache.join("memoryengine/clients-venv/bin/python");
    assert!(python.exists(), "{python:?} is missing: run `make setup`");
    python
}

fn run(script: &str, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    Command::new(python()).arg(script).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap()
}

/// Returns the number that a script printed, which is the number of calls it made.
fn count(output: &Output) -> u32 {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
}

#[test]
fn the_real_client_of_langgraphs_store_finds_what_it_calls() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let calls = count(&run("langgraph_store.py", &[&format!("http://{}", engine.api)]));
    assert!(calls > 50, "{calls}");
    let events = engine.get("/v1/events?limit=1000").json();
    let kinds: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(kinds.iter().all(|kind| ["item.put", "item.deleted"].contains(kind)), "{kinds:?}");
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "item.deleted").count(),
        5,
        "a missing item needs no event"
    );
}

/// Every response of the engine equals the response of the package's own tool, which works on a directory.
#[test]
fn the_real_memory_tool_cannot_tell_an_engine_from_a_directory() {
    let (data, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = Running::start(data.path());
    let url = format!("http://{}", engine.api);
    let commands = count(&run("anthropic_memory.py", &[&url, directory.path().to_str().unwrap()]));
    assert!(commands > 400, "{commands}");
}

/// The scripts must fail if the routes are missing: here they run against a server that answers every request with 404.
#[test]
fn a_missing_route_fails_the_clients() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _asked = stream.read(&mut [0; 65536]);
            let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{}";
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    let directory = tempfile::tempdir().unwrap();
    for output in [
        run("langgraph_store.py", &[&url]),
        run("anthropic_memory.py", &[&url, directory.path().to_str().unwrap()]),
    ] {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("404"), "{said}");
    }
}
