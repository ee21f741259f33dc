//! Variants of HTTP messages that clients send. The engine serves every message that can be understood, and answers
//! every message that cannot be parsed.

use serde_json::{Value, json};

use crate::mcp::{JSON, PARSE_ERROR, check, post, request};
use crate::process::Running;

/// The engine accepts any `Accept` header that permits one of the two media types, at either of the two paths.
#[test]
fn a_client_that_could_be_served_is_served() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let list = request("tools/list", &json!({}));
    for accept in ["", "accept: */*\r\n", "accept: application/json\r\n", "accept: text/html, */*;q=0.1\r\n"]
    {
        for kind in
            ["content-type: application/json\r\n", "content-type: application/json; charset=utf-8\r\n", ""]
        {
            let answer = post(&engine, &format!("{kind}{accept}"), &list);
            assert_eq!(answer.status, 200, "{accept}{kind}: {answer:?}");
            assert!(answer.has_header("content-type: application/json"), "{answer:?}");
            assert!(answer.json()["result"]["tools"].is_array(), "{answer:?}");
        }
    }
    let answer = post(&engine, "content-type: application/json\r\naccept: text/event-stream\r\n", &list);
    assert!(answer.status == 200 && answer.has_header("content-type: text/event-stream"), "{answer:?}");
    let event = answer.body.strip_prefix("event: message\ndata: ").and_then(|rest| rest.strip_suffix("\n\n"));
    let event: Value = serde_json::from_str(event.unwrap_or_else(|| panic!("{answer:?}"))).unwrap();
    assert!(event["id"] == 1 && event["result"]["tools"].is_array(), "{event}");
    let mut client = engine.connect();
    let length = list.len();
    let head =
        format!("POST /mcp/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{JSON}\r\n{list}");
    client.raw(head.as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap().status, 200, "with a slash at the end");
    // The header of the first message names another protocol revision than the message itself.
    let hello = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let headers = format!("{JSON}mcp-protocol-version: 2025-11-25\r\n");
    let hello = post(&engine, &headers, &request("initialize", &hello));
    assert_eq!(
        (hello.status, &hello.json()["result"]["protocolVersion"]),
        (200, &json!("2024-11-05")),
        "{hello:?}"
    );
}

#[test]
fn a_body_that_cannot_be_read_is_answered_by_its_id() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let call = |content: &str| {
        format!(
            r#"{{"method":"tools/call","params":{{"name":"memory_save","arguments":{{"content":{content}}}}},"jsonrpc":"2.0","id":"mine"}}"#
        )
    };
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    for content in [r#""\ud83d""#, r#""\udc00 x""#, "1e999", "{\"a\":1,\"a\":2}", "NaN", "\"\t\"", &deep] {
        let refused = post(&engine, JSON, &call(content));
        check(&refused, 400, PARSE_ERROR);
        assert_eq!(refused.json()["id"], "mine", "{refused:?}");
    }
    let list = format!(r#"[{},{{"id":7,"method":"ping","x":"\ud83d"}}]"#, call("\"x\""));
    let refused = post(&engine, JSON, &list);
    let ids: Vec<Value> =
        refused.json().as_array().unwrap().iter().map(|reply| reply["id"].clone()).collect();
    assert_eq!((refused.status, ids), (400, vec![json!("mine"), json!(7)]), "{refused:?}");
    let no_message = r#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#;
    let refused = post(&engine, JSON, no_message);
    assert!((400..500).contains(&refused.status) && refused.json()["id"] == 5, "{refused:?}");
    assert_eq!(engine.total(""), 0);
}
