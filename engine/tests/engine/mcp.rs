//! The Model Context Protocol at the level of bytes on a connection: revisions, headers, access, and the results of
//! tools.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::mcp_hosts::{FOREIGN_HOSTS, OWN_HOSTS};
use crate::process::{Answer, Client, Running, eventually};

pub(crate) const NEWEST: &str = "2026-07-28";
const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const HEADER_MISMATCH: i64 = -32020;
const UNSUPPORTED_VERSION: i64 = -32022;
const METHOD_NOT_FOUND: i64 = -32601;
pub(crate) const INVALID_PARAMS: i64 = -32602;
pub(crate) const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;

/// `_meta` of a request in the newest protocol revision.
pub(crate) fn meta(version: &str) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

pub(crate) const JSON: &str =
    "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";

pub(crate) fn post(engine: &Running, headers: &str, body: &str) -> Answer {
    from_host(engine, "localhost", headers, body)
}

fn from_host(engine: &Running, host: &str, headers: &str, body: &str) -> Answer {
    let mut client = Client::connect(engine.api).unwrap();
    let length = body.len();
    let head = format!("POST /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n{headers}\r\n");
    client.raw(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
    client.answer().unwrap()
}

pub(crate) fn request(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

/// Headers of a request in the newest protocol revision.
pub(crate) fn modern(method: &str, name: Option<&str>) -> String {
    let name = name.map(|name| format!("mcp-name: {name}\r\n")).unwrap_or_default();
    format!("{JSON}mcp-protocol-version: {NEWEST}\r\nmcp-method: {method}\r\n{name}")
}

/// Calls a tool as a client of the newest protocol revision does.
pub(crate) fn call(engine: &Running, tool: &str, arguments: &Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments, "_meta": meta(NEWEST) });
    let answer = post(engine, &modern("tools/call", Some(tool)), &request("tools/call", &params));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.has_header("content-type: application/json"), "{answer:?}");
    assert!(!answer.has_header("mcp-session-id"), "{answer:?}");
    answer.json()["result"].take()
}

/// Tools whose results contain only unstructured content, as text or as JSON.
const TEXTS: [&str; 6] =
    ["memory_search", "memory_get", "memory_checkout", "memory_as_of", "memory_timeline", "memory_explain"];

/// Returns the structured result of a successful call.
pub(crate) fn done(engine: &Running, tool: &str, arguments: &Value) -> Value {
    let mut arguments = arguments.clone();
    let is_text = TEXTS.contains(&tool);
    if is_text {
        arguments["format"] = json!("json");
    }
    let mut result = call(engine, tool, &arguments);
    assert_eq!((&result["isError"], &result["resultType"]), (&json!(false), &json!("complete")), "{result}");
    assert!(result["content"][0]["text"].as_str().is_some_and(|text| !text.is_empty()), "{result}");
    match is_text {
        true => {
            assert_eq!(result["structuredContent"], Value::Null, "{tool}: once");
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
        }
        false => result["structuredContent"].take(),
    }
}

#[track_caller]
pub(crate) fn check(answer: &Answer, status: u16, code: i64) {
    assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (status, Some(code)), "{answer:?}");
}

#[test]
fn tools_do_what_rest_does() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let about = post(
        &engine,
        &modern("server/discover", None),
        &request("server/discover", &json!({"_meta": meta(NEWEST)})),
    );
    let about = &about.json()["result"];
    assert_eq!(about["supportedVersions"].as_array().unwrap().len(), LEGACY.len() + 1, "{about}");
    assert!(about["capabilities"]["tools"].is_object() && about["instructions"].is_string(), "{about}");

    let saved = done(
        &engine,
        "memory_save",
        &json!({
            "content": "The kettle is blue.", "project": "kitchen", "type": "fact", "valid_from": "2026-01-01T00:00:00Z",
        }),
    );
    let id = saved["id"].as_str().unwrap();
    assert_eq!(engine.get(&format!("/v1/memories/{id}")).json()["content"], "The kettle is blue.");
    let found = done(&engine, "memory_search", &json!({ "query": "kettle", "project": "kitchen" }));
    assert_eq!(found["items"][0]["id"], id);
    assert_eq!(done(&engine, "memory_get", &json!({ "id": id }))["hash"], saved["hash"]);

    let green =
        done(&engine, "memory_save", &json!({ "content": "The kettle is green.", "project": "kitchen" }));
    let ended = json!({ "id": id, "superseded_by": green["id"], "reason": "painted" });
    assert_eq!(done(&engine, "memory_invalidate", &ended)["seq"], 3);
    let now = done(&engine, "memory_search", &json!({ "query": "blue" }));
    assert!(
        now["items"].as_array().unwrap().iter().all(|hit| hit["id"] != id),
        "what ended is not found: {now}"
    );
    let then = done(&engine, "memory_as_of", &json!({ "as_of": "2026-01-02T00:00:00Z", "query": "kettle" }));
    assert_eq!(then["found"]["items"][0]["id"], id);
    let known = done(&engine, "memory_as_of", &json!({ "known_at_seq": 1, "id": id }));
    assert_eq!((&known["memory"]["id"], &known["memory"]["validity"]["until"]), (&json!(id), &Value::Null));

    let around = done(&engine, "memory_timeline", &json!({ "id": id, "before": 2 }));
    let around: Vec<&Value> = around["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(around, [&saved["id"], &green["id"]], "also memories that are no longer valid");
    let proof = done(&engine, "memory_proof", &json!({ "seq": 1 }));
    let digest: String = Sha256::digest(proof["envelope"].as_str().unwrap())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!((&json!(digest), &proof["hash"]), (&proof["hash"], &saved["hash"]));
    let rest = engine.get("/v1/log/proof/1");
    assert!(rest.body.contains(proof["envelope"].as_str().unwrap()), "byte for byte");
    assert_eq!(rest.json()["proof"], proof["proof"]);
    let status = done(&engine, "memory_status", &json!({}));
    assert_eq!(
        (&status["status"], &status["head_seq"], &status["writable"]),
        (&json!("ok"), &json!(3), &json!(true))
    );
}

#[test]
fn a_refusal_is_an_answer_the_model_reads() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let cases = [
        ("memory_save", json!({ "content": " " }), "INVALID_ARGUMENT"),
        ("memory_save", json!({ "content": "x".repeat((1 << 20) + 1) }), "PAYLOAD_TOO_LARGE"),
        ("memory_save", json!({ "content": "x", "idempotency_key": "" }), "INVALID_ARGUMENT"),
        ("memory_search", json!({ "limit": 1001 }), "INVALID_ARGUMENT"),
        ("memory_search", json!({ "limit": -1 }), "INVALID_ARGUMENT"),
        ("memory_search", json!({ "project": "" }), "INVALID_ARGUMENT"),
        ("memory_get", json!({ "id": "0".repeat(32) }), "ENTRY_NOT_FOUND"),
        ("memory_get", json!({}), "INVALID_ARGUMENT"),
        ("memory_as_of", json!({}), "INVALID_ARGUMENT"),
        ("memory_as_of", json!({ "as_of": "yesterday" }), "INVALID_ARGUMENT"),
        (
            "memory_as_of",
            json!({ "known_at_seq": 1, "known_at": "2026-01-01T00:00:00Z" }),
            "INVALID_ARGUMENT",
        ),
        (
            "memory_as_of",
            json!({ "known_at_seq": 1, "id": "0".repeat(32), "query": "x" }),
            "INVALID_ARGUMENT",
        ),
        ("memory_invalidate", json!({ "id": "0".repeat(32) }), "ENTRY_NOT_FOUND"),
        ("memory_invalidate", json!({ "reason": "x" }), "INVALID_ARGUMENT"),
        ("memory_proof", json!({ "seq": 0 }), "INVALID_ARGUMENT"),
        ("memory_proof", json!({ "seq": 7 }), "ENTRY_NOT_FOUND"),
        ("memory_checkout", json!({ "query": " " }), "INVALID_ARGUMENT"),
        ("memory_checkout", json!({ "query": "x", "token_budget": 63 }), "INVALID_ARGUMENT"),
        ("memory_explain", json!({ "query": "" }), "INVALID_ARGUMENT"),
        ("memory_explain", json!({ "query": "x", "limit": 0 }), "INVALID_ARGUMENT"),
        ("memory_explain", json!({ "query": "x", "id": "0".repeat(32) }), "ENTRY_NOT_FOUND"),
        ("memory_timeline", json!({}), "INVALID_ARGUMENT"),
        ("memory_timeline", json!({ "seq": 1, "id": "0".repeat(32) }), "INVALID_ARGUMENT"),
        ("memory_timeline", json!({ "seq": 1, "before": 21 }), "INVALID_ARGUMENT"),
        ("memory_timeline", json!({ "seq": 1, "session": "" }), "INVALID_ARGUMENT"),
        ("memory_timeline", json!({ "id": "0".repeat(32) }), "ENTRY_NOT_FOUND"),
        ("memory_feedback", json!({ "id": "0".repeat(32), "useful": true }), "ENTRY_NOT_FOUND"),
        ("memory_feedback", json!({ "useful": true }), "INVALID_ARGUMENT"),
        ("memory_forget", json!({ "ids": ["0".repeat(32)] }), "INVALID_ARGUMENT"),
        ("memory_forget", json!({ "ids": [], "reason": "x" }), "INVALID_ARGUMENT"),
        ("memory_forget", json!({ "project": "p", "reason": "x", "dry_run": false }), "INVALID_ARGUMENT"),
        ("memory_forget", json!({ "ids": ["0".repeat(32)], "reason": "x" }), "ENTRY_NOT_FOUND"),
        ("create_entities", json!({ "entities": [] }), NO_SUCH_TOOL),
    ];
    for (tool, arguments, code) in cases {
        if code == NO_SUCH_TOOL {
            let params = json!({ "name": tool, "arguments": arguments, "_meta": meta(NEWEST) });
            let refused = post(&engine, &modern("tools/call", Some(tool)), &request("tools/call", &params));
            assert_eq!(refused.json()["error"]["code"], INVALID_PARAMS, "{tool}: {refused:?}");
            continue;
        }
        let result = call(&engine, tool, &arguments);
        let error = &result["structuredContent"]["error"];
        assert_eq!((&result["isError"], &error["code"]), (&json!(true), &json!(code)), "{tool}: {result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        let hint = error["hint"].as_str().unwrap();
        assert!(text.starts_with(code) && !hint.is_empty() && text.contains(hint), "{tool}: {text}");
    }
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 0, "nothing was written");
}

/// Placeholder instead of an error code for tools that exist only if they are configured.
const NO_SUCH_TOOL: &str = "";

#[test]
fn a_key_is_one_write_whatever_the_protocol() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let rest = engine.post("/v1/memories", "idempotency-key: k\r\n", r#"{"content":"once","project":"p"}"#);
    let again =
        done(&engine, "memory_save", &json!({ "project": "p", "content": "once", "idempotency_key": "k" }));
    assert_eq!(again, rest.json());
    let other = call(&engine, "memory_save", &json!({ "content": "twice", "idempotency_key": "k" }));
    assert_eq!(other["structuredContent"]["error"]["code"], "IDEMPOTENCY_CONFLICT");
    let id = rest.json()["id"].as_str().unwrap().to_owned();
    let ended = done(&engine, "memory_invalidate", &json!({ "id": id, "idempotency_key": "end" }));
    let path = format!("/v1/memories/{id}/invalidate");
    assert_eq!(engine.post(&path, "idempotency-key: end\r\n", "{}").json(), ended);
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 2);
}

#[test]
fn clients_of_earlier_revisions_are_served() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for version in LEGACY {
        let hello = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let hello = post(&engine, JSON, &request("initialize", &hello));
        assert_eq!(hello.status, 200, "{hello:?}");
        assert!(!hello.has_header("mcp-session-id"), "{hello:?}");
        let result = hello.json()["result"].take();
        assert_eq!(
            (&result["protocolVersion"], &result["serverInfo"]["name"]),
            (&json!(version), &json!("memory-engine"))
        );
        assert!(result["capabilities"]["tools"].is_object(), "{result}");
        let headers = format!("{JSON}mcp-protocol-version: {version}\r\n");
        let ready = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(post(&engine, &headers, ready).status, 202);
        assert_eq!(post(&engine, &headers, &request("ping", &json!({}))).json()["result"], json!({}));
        let tools = post(&engine, &headers, &request("tools/list", &json!({}))).json();
        assert!(tools["result"]["tools"].as_array().unwrap().len() >= 8, "{tools}");
        let save = json!({ "name": "memory_save", "arguments": { "content": version } });
        let saved = post(&engine, &headers, &request("tools/call", &save)).json();
        assert_eq!(saved["result"]["isError"], false, "{saved}");
        assert_eq!(saved["result"]["resultType"], Value::Null, "a field of a later revision: {saved}");
    }
    // A client that requests an unknown revision is offered the newest one that still starts with `initialize`.
    let hello = json!({ "protocolVersion": "1999-01-01", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = post(&engine, JSON, &request("initialize", &hello)).json();
    assert_eq!(hello["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(engine.total(""), 4);
}

/// The earliest protocol revisions have batches of messages, which their servers must accept.
#[test]
fn a_list_of_messages_is_answered_with_a_list() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let ping = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
    let save = json!({ "name": "memory_save", "arguments": { "content": "x" } });
    let save = json!({ "jsonrpc": "2.0", "id": "s", "method": "tools/call", "params": save });
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let headers = format!("{JSON}mcp-protocol-version: 2025-03-26\r\n");
    for headers in [JSON, &headers] {
        let answer = post(&engine, headers, &json!([ping(1), ready, save]).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let ids: Vec<Value> =
            answer.json().as_array().unwrap().iter().map(|reply| reply["id"].clone()).collect();
        assert_eq!(ids, [json!(1), json!("s")], "{answer:?}");
        assert_eq!(post(&engine, headers, &json!([ready, ready]).to_string()).status, 202);
        assert_eq!(post(&engine, headers, "[]").status, 400);
        assert_eq!(post(&engine, headers, &json!(vec![ping(1); 101]).to_string()).status, 400);
    }
    assert_eq!(engine.total(""), 2);
    let later = format!("{JSON}mcp-protocol-version: 2025-11-25\r\n");
    assert!((400..500).contains(&post(&engine, &later, &json!([ping(1)]).to_string()).status));
    assert_eq!(from_host(&engine, "evil.example.org", JSON, &json!([ping(1)]).to_string()).status, 403);
}

#[test]
fn headers_have_to_say_what_the_body_says() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let list = |meta: Value| request("tools/list", &json!({ "_meta": meta }));
    let save = json!({ "name": "memory_save", "arguments": { "content": "x" }, "_meta": meta(NEWEST) });
    let save = request("tools/call", &save);
    let without = |line: &str| modern("tools/call", Some("memory_save")).replace(line, "");
    let good = list(meta(NEWEST));
    assert_eq!(post(&engine, &modern("tools/list", None), &good).status, 200);
    check(&post(&engine, JSON, &good), 400, HEADER_MISMATCH);
    check(&post(&engine, &without("mcp-protocol-version: 2026-07-28\r\n"), &save), 400, HEADER_MISMATCH);
    check(&post(&engine, &without("mcp-method: tools/call\r\n"), &save), 400, HEADER_MISMATCH);
    check(&post(&engine, &without("mcp-name: memory_save\r\n"), &save), 400, HEADER_MISMATCH);
    check(&post(&engine, &modern("tools/list", Some("memory_save")), &save), 400, HEADER_MISMATCH);
    check(&post(&engine, &modern("tools/call", Some("memory_get")), &save), 400, HEADER_MISMATCH);
    let older = format!("{JSON}mcp-protocol-version: 2025-11-25\r\nmcp-method: tools/list\r\n");
    check(&post(&engine, &older, &good), 400, HEADER_MISMATCH);
    let encoded = modern("tools/call", Some("=?base64?bWVtb3J5X3NhdmU=?="));
    assert_eq!(post(&engine, &encoded, &save).json()["result"]["isError"], false);

    let unknown = modern("tools/list", None).replace(NEWEST, "2030-01-01");
    let refused = post(&engine, &unknown, &list(meta("2030-01-01")));
    check(&refused, 400, UNSUPPORTED_VERSION);
    assert!(refused.json()["error"]["data"]["supported"].as_array().unwrap().contains(&json!(NEWEST)));
    // This draft never became a protocol revision.
    let old = modern("tools/list", None).replace(NEWEST, "2024-10-07");
    check(&post(&engine, &old, &list(meta("2024-10-07"))), 400, UNSUPPORTED_VERSION);
    let bare = format!("{JSON}mcp-protocol-version: 2030-01-01\r\n");
    assert_eq!(post(&engine, &bare, &request("tools/list", &json!({}))).status, 400);
    check(
        &post(&engine, &modern("tools/list", None), &request("tools/list", &json!({}))),
        400,
        INVALID_PARAMS,
    );
    assert_eq!(engine.total(""), 1, "only the encoded name was right");
}

#[test]
fn what_is_no_request_of_the_protocol_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let params = json!({ "_meta": meta(NEWEST) });
    let other = |method: &str| post(&engine, &modern(method, None), &request(method, &params));
    for method in
        ["resources/list", "prompts/list", "completion/complete", "subscriptions/listen", "ping", "no/such"]
    {
        check(&other(method), 404, METHOD_NOT_FOUND);
    }
    let nobody = json!({ "name": "memory_nobody", "arguments": {}, "_meta": meta(NEWEST) });
    let refused =
        post(&engine, &modern("tools/call", Some("memory_nobody")), &request("tools/call", &nobody));
    assert_eq!(refused.json()["error"]["code"], INVALID_PARAMS, "{refused:?}");

    let good = request("tools/list", &params);
    let headers = modern("tools/list", None);
    let narrow = headers.replace("application/json, text/event-stream", "text/plain");
    check(&post(&engine, &narrow, &good), 406, INVALID_REQUEST);
    let form = headers.replace("content-type: application/json", "content-type: text/plain");
    assert_eq!(post(&engine, &form, &good).status, 415);
    for bad in ["{", "nothing", r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}"#, "{} x"] {
        check(&post(&engine, &headers, bad), 400, PARSE_ERROR);
    }
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    check(&post(&engine, &headers, &deep), 400, PARSE_ERROR);
    assert_eq!(post(&engine, &headers, &" ".repeat((8 << 20) + 1)).status, 413);
    assert!((400..500).contains(&post(&engine, &headers, "{}").status));
    assert!((400..500).contains(&post(&engine, &headers, "").status));
    let reply = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    assert_eq!(post(&engine, &headers, reply).status, 400, "no tool was called");
    for method in ["GET", "DELETE", "PUT", "OPTIONS"] {
        let mut client = engine.connect();
        client.raw(format!("{method} /mcp HTTP/1.1\r\nhost: localhost\r\n{JSON}\r\n").as_bytes()).unwrap();
        let refused = client.answer().unwrap();
        assert_eq!(refused.status, 405, "{refused:?}");
        assert!(refused.has_header("allow: post") && refused.body.contains("POST"), "{refused:?}");
    }
}

#[test]
fn a_page_in_a_browser_does_not_get_in() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    std::fs::write(&config, "engine: {namespace: team-a, name: notes}\nmcp: {allowedHosts: [memory.example.org, 'proxy.example.org:8443']}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let list = request("tools/list", &json!({ "_meta": meta(NEWEST) }));
    let status = |host: &str, origin: Option<&str>| {
        let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
        let answer = from_host(&engine, host, &format!("{}{origin}", modern("tools/list", None)), &list);
        if answer.status == 403 {
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains("mcp.allowedHosts"), "{message}");
        }
        answer.status
    };
    for host in OWN_HOSTS {
        assert_eq!(status(host, None), 200, "{host}");
        for scheme in ["http", "https"] {
            assert_eq!(status("localhost", Some(&format!("{scheme}://{host}"))), 200, "{scheme}://{host}");
        }
        assert_eq!(status(host, Some("https://evil.example.org")), 403, "{host}");
    }
    for host in FOREIGN_HOSTS {
        assert_eq!(status(host, None), 403, "{host}");
        assert_eq!(status("localhost", Some(&format!("http://{host}"))), 403, "http://{host}");
        assert_eq!(status(host, Some("http://localhost")), 403, "{host}");
    }
    for origin in ["null", "file://", "localhost", "chrome-extension://abc", "ftp://localhost", "http://"] {
        assert_eq!(status("localhost", Some(origin)), 403, "{origin:?}");
    }
    for method in ["GET", "DELETE"] {
        let mut client = engine.connect();
        client.raw(format!("{method} /mcp HTTP/1.1\r\nhost: evil.example.org\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(client.answer().unwrap().status, 403, "{method}");
    }
}

#[test]
fn no_word_of_a_call_is_logged() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    std::fs::write(&config, "log: {level: trace}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    done(&engine, "memory_save", &json!({ "content": "canary", "idempotency_key": "canary-key" }));
    done(&engine, "memory_search", &json!({ "query": "canary" }));
    call(&engine, "memory_save", &json!({ "canary": 1 }));
    let nobody = json!({ "name": "canary", "arguments": { "canary": 1 }, "_meta": meta(NEWEST) });
    post(&engine, &modern("tools/call", Some("canary")), &request("tools/call", &nobody));
    post(&engine, &modern("canary", None), &request("canary", &json!({ "_meta": meta(NEWEST) })));
    post(&engine, JSON, "{\"canary\":1,");
    eventually("the log is read", || engine.said().matches("\"route\":\"/mcp\"").count() >= 6);
    assert!(!engine.said().contains("canary"), "{}", engine.said());
}

/// Guards against a regression: such bodies were answered with 415, as if their content type were wrong.
#[test]
fn what_is_no_message_is_a_bad_request() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let revision = |version: &str| format!("{JSON}mcp-protocol-version: {version}\r\n");
    for (body, code, id) in [
        ("", PARSE_ERROR, Value::Null),
        (" ", PARSE_ERROR, Value::Null),
        ("null", INVALID_REQUEST, Value::Null),
        ("1", INVALID_REQUEST, Value::Null),
        ("\"ping\"", INVALID_REQUEST, Value::Null),
        ("{}", INVALID_REQUEST, Value::Null),
        ("[]", INVALID_REQUEST, Value::Null),
        (r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":[]}"#, INVALID_REQUEST, json!(7)),
        (r#"{"id":"a","method":"ping"}"#, INVALID_REQUEST, json!("a")),
        (r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, INVALID_REQUEST, json!(7)),
        (r#"{"jsonrpc":"2.0","id":7}"#, INVALID_REQUEST, json!(7)),
    ] {
        for headers in [JSON.to_owned(), revision("2025-06-18")] {
            let answer = post(&engine, &headers, body);
            assert_eq!(answer.status, 400, "{body}: {answer:?}");
            let said = answer.json();
            assert_eq!(
                (&said["jsonrpc"], &said["error"]["code"]),
                (&json!("2.0"), &json!(code)),
                "{body}: {said}"
            );
            assert_eq!(said["id"], id, "{body}: {said}");
            assert!(!answer.body.contains("deserialize"), "{answer:?}");
        }
    }
    let typed = "content-type: text/plain\r\naccept: application/json, text/event-stream\r\n";
    assert_eq!(post(&engine, typed, &request("ping", &json!({}))).status, 415, "its type is wrong");
}
