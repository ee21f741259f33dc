//! `memory-engine mcp`: the Model Context Protocol on standard input and output.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::mcp::{INVALID_PARAMS, NEWEST, meta};
use crate::process::{Running, binary};

/// Runs a stdio server with these input lines. Returns its output, its error output and its exit code.
fn stdio(arguments: &[&str], lines: &[Value]) -> (Vec<Value>, String, Option<i32>) {
    let mut child = binary();
    let mut child = child.arg("mcp").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    child = child.stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in lines {
        // If the server does not start, writing to it fails.
        let _gone = writeln!(input, "{line}");
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let replies =
        said.lines().map(|line| serde_json::from_str(line).expect("only protocol messages")).collect();
    (replies, String::from_utf8(output.stderr).unwrap(), output.status.code())
}

fn conversation() -> Vec<Value> {
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let save = json!({ "name": "memory_save", "arguments": { "content": "over stdio" } });
    vec![
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }),
        json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": save }),
    ]
}

#[track_caller]
fn check_conversation((mut replies, said, code): (Vec<Value>, String, Option<i32>)) {
    assert_eq!((replies.len(), code), (3, Some(0)), "{replies:?} {said}");
    replies.sort_by_key(|reply| reply["id"].as_u64());
    assert_eq!(replies[0]["result"]["protocolVersion"], "2025-11-25");
    assert!(replies[1]["result"]["tools"].as_array().unwrap().len() >= 8);
    assert_eq!(replies[2]["result"]["isError"], false, "{replies:?}");
}

#[test]
fn a_server_on_stdio_has_an_engine_of_its_own() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().to_str().unwrap();
    check_conversation(stdio(&["--data", directory], &conversation()));
    let modern = json!({
        "jsonrpc": "2.0", "id": 9, "method": "tools/call",
        "params": { "name": "memory_search", "arguments": { "query": "stdio", "format": "json" }, "_meta": meta(NEWEST) },
    });
    let (replies, said, code) = stdio(&["--data", directory], &[modern]);
    let found = replies[0]["result"]["content"][0]["text"].as_str().unwrap();
    assert!(code == Some(0) && found.contains("\"total\":1"), "{replies:?} {said}");
    assert_eq!(stdio(&["--data", directory], &[]).2, Some(0), "no output");
    let engine = Running::start(data.path());
    assert_eq!(engine.total("q=stdio"), 1);
    let (replies, said, code) = stdio(&["--data", directory], &conversation());
    assert!(replies.is_empty() && code == Some(2) && said.contains("another process"), "{replies:?} {said}");
}

#[test]
fn a_server_on_stdio_forwards_to_an_engine_that_runs() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let url = format!("http://{}", engine.api);
    check_conversation(stdio(&["--url", &url], &conversation()));
    assert_eq!(engine.total("q=stdio"), 1);
    let mut bad = conversation();
    bad[3]["params"] = json!({ "name": "memory_save", "arguments": { "content": "" } });
    bad.push(json!({ "jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": { "name": "ünknown" } }));
    bad.push(json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": { "name": "unknown" } }));
    let (mut replies, ..) = stdio(&["--url", &url], &bad);
    replies.sort_by_key(|reply| reply["id"].as_u64());
    assert_eq!(replies[2]["result"]["structuredContent"]["error"]["code"], "INVALID_ARGUMENT", "{replies:?}");
    assert_eq!(
        (&replies[3]["error"]["code"], &replies[4]["error"]["code"]),
        (&json!(INVALID_PARAMS), &json!(INVALID_PARAMS))
    );
    engine.kill();
    let (replies, said, code) = stdio(&["--url", &url], &conversation());
    assert!(replies.is_empty() && code == Some(2) && said.contains("cannot be reached"), "{said}");
    for url in ["https://127.0.0.1:1", "127.0.0.1:1", "http://"] {
        let (_, said, code) = stdio(&["--url", url], &[]);
        assert!(code == Some(2) && said.contains("is not"), "{url}: {said}");
    }
}

#[test]
fn the_tools_of_server_memory_are_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().to_str().unwrap();
    let names = |more: &[&str]| {
        let (replies, said, code) = stdio(&[&["--data", directory], more].concat(), &conversation()[..3]);
        assert_eq!((replies.len(), code), (2, Some(0)), "{said}");
        let tools = replies.iter().find(|reply| reply["id"] == 2).unwrap()["result"]["tools"].clone();
        tools.as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect::<Vec<_>>()
    };
    let without = names(&[]);
    assert!(without.len() <= 12 && !without.contains(&json!("read_graph")), "{without:?}");
    let with = names(&["--server-memory-tools", "--server-memory-project", "p"]);
    assert_eq!((with.len(), &with[..without.len()]), (without.len() + 9, &without[..]));
    for wrong in [
        &["--data", directory, "--server-memory-project", "p"][..],
        &["--data", directory, "--server-memory-tools", "--server-memory-project", ""],
        &["--url", "http://127.0.0.1:1", "--server-memory-tools"],
        &["--data", directory, "--url", "http://127.0.0.1:1"],
        &[],
    ] {
        assert_eq!(stdio(wrong, &[]).2, Some(2), "{wrong:?}");
    }
}

/// A message with a duplicate key is refused, because parsers would choose different values.
#[test]
fn a_line_with_two_meanings_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let mut child = binary();
    let child = child.args(["mcp", "--data"]).arg(data.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in &conversation()[..2] {
        writeln!(input, "{line}").unwrap();
    }
    let doubled = conversation()[3].to_string().replace("{\"content\":", "{\"content\":\"a\",\"content\":");
    writeln!(input, "{doubled}").unwrap();
    writeln!(input, "{}", conversation()[2]).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("\"id\":3,\"error\":{\"code\":-32700"), "{said}");
    let engine = Running::start(data.path());
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 0, "{doubled}");
}

/// Whatever part of a request cannot be parsed, the client waits for a response with the id of the request.
#[test]
fn a_refused_line_is_answered_to_who_asked() {
    let data = tempfile::tempdir().unwrap();
    let mut child = binary();
    let child = child.args(["mcp", "--data"]).arg(data.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for line in &conversation()[..2] {
        writeln!(input, "{line}").unwrap();
    }
    let long = format!("\"{}\"", "x".repeat(9 << 20));
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let contents: [&[u8]; 8] = [
        b"\"\\ud83d\"",
        b"\"\\udc00\"",
        b"\"\xff\xfe\"",
        b"{\"a\":1,\"a\":2}",
        b"1e999",
        b"nothing",
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for (id, content) in (100..).zip(contents) {
        // The id is at the end of the message, as in messages of the Python client.
        let begins = br#"{"method":"tools/call","params":{"name":"memory_save","arguments":{"content":"#;
        let ends = format!("}}}},\"jsonrpc\":\"2.0\",\"id\":{id}}}\n");
        input.write_all(&[begins, content, ends.as_bytes()].concat()).unwrap();
    }
    writeln!(input, "{}", conversation()[2]).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let replies: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for id in 100..108 {
        let reply = replies
            .iter()
            .find(|reply| reply["id"] == id)
            .unwrap_or_else(|| panic!("{id} waits for ever: {said}"));
        assert!(reply["error"]["message"].as_str().is_some_and(|message| message.len() > 20), "{reply}");
    }
    assert!(replies.iter().any(|reply| reply["id"] == 2 && reply["result"]["tools"].is_array()), "{said}");
}
