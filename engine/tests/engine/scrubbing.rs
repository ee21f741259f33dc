//! No secret and no personal data leaves the program: texts that the detectors know are sent through every input, and
//! everything that the engine writes elsewhere than into the answer for their sender is searched for them.

use std::fmt::Write as _;

use engine_core::policy::{Finds, Kind, Policy, Settings};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::collector::{Collector, Manner};
use crate::process::{Answer, Client, JSON, Running, binary, eventually};

#[path = "../../core/src/policy/tests/example_texts.rs"]
mod example_texts;

use example_texts::{PERSONAL, secrets_of};

/// Seeds of the secrets; with one more they are more than a thousand.
const SEEDS: u64 = 18;
/// How many inputs each text is sent through. Neighbouring texts begin at different inputs.
const INPUTS_EACH: usize = 6;
/// Shorter finds, such as a postcode, occur by chance.
const FOUND_BYTES_MIN: usize = 8;

/// A text, and the secret or personal data in it.
struct Planted {
    text: String,
    parts: Vec<String>,
    is_secret: bool,
}

fn planted() -> Vec<Planted> {
    let redact = Some(Kind::ALL.iter().map(|kind| kind.name()).collect());
    let policy = Policy::new(&Settings { redact, ..Settings::default() }).unwrap();
    let secrets = (0..SEEDS).flat_map(secrets_of).map(|(_, text, _)| text);
    let personal =
        PERSONAL.iter().filter(|(_, text, redacted)| text != redacted).map(|(_, text, _)| (*text).to_owned());
    let mut all: Vec<Planted> = Vec::new();
    for text in secrets.chain(personal) {
        let found = policy.findings(&text, Timestamp::UNIX_EPOCH);
        let is_secret = found.iter().any(|found| found.finds == Finds::Secret);
        let parts = found.into_iter().map(|found| text[found.range].trim().to_owned());
        let parts: Vec<String> = parts.filter(|part| part.len() >= FOUND_BYTES_MIN).collect();
        if !parts.is_empty() && !all.iter().any(|known| known.text == text) {
            all.push(Planted { text, parts, is_secret });
        }
    }
    all
}

/// A part in the forms in which programs write a text.
fn forms(part: &str) -> Vec<String> {
    let json = json!(part).to_string();
    let debug = format!("{part:?}");
    let mut forms = vec![
        part.to_owned(),
        json[1..json.len() - 1].to_owned(),
        debug[1..debug.len() - 1].to_owned(),
        escaped(part),
    ];
    // A private key is found as a whole, and must not be seen by the line either.
    forms.extend(part.lines().filter(|line| line.len() > 40).map(str::to_owned));
    forms.sort();
    forms.dedup();
    forms
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => escaped.push(char::from(byte)),
            _ => write!(escaped, "%{byte:02X}").unwrap(),
        }
        escaped
    })
}

/// The planted parts that occur in a text.
fn found_in<'a>(texts: &'a [Planted], output: &str) -> Vec<&'a str> {
    let parts = texts.iter().flat_map(|planted| &planted.parts);
    parts.filter(|part| forms(part).iter().any(|form| output.contains(form))).map(String::as_str).collect()
}

/// One request as it is sent: method, path, headers, body. `None` if the text cannot be sent in this way.
struct Sent {
    admin: bool,
    method: String,
    path: String,
    headers: String,
    body: String,
}

fn sent(method: &str, path: String, headers: String, body: String) -> Option<Sent> {
    Some(Sent { admin: false, method: method.into(), path, headers, body })
}

fn post(path: &str, body: &Value) -> Option<Sent> {
    sent("POST", path.into(), String::new(), body.to_string())
}

fn put(path: &str, body: &Value) -> Option<Sent> {
    sent("PUT", path.into(), String::new(), body.to_string())
}

/// A hold that changes nothing.
fn hold(text: &str) -> Value {
    json!({"mode": "read_write", "reason": text, "by": text, "ttl_seconds": 1})
}

fn get(path: String) -> Option<Sent> {
    sent("GET", path, String::new(), String::new())
}

fn admin(sent: Option<Sent>) -> Option<Sent> {
    sent.map(|sent| Sent { admin: true, headers: format!("{JSON}{}", sent.headers), ..sent })
}

fn header(name: &str, text: &str) -> Option<Sent> {
    let line = text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    let headers =
        if name.eq_ignore_ascii_case("host") { String::new() } else { format!("{name}: {text}\r\n") };
    line.then(|| sent("GET", "/v1/search?q=kettle".into(), headers, String::new())).flatten()
}

fn with_header(name: &str, text: &str, request: Option<Sent>) -> Option<Sent> {
    let line = text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    request
        .filter(|_| line)
        .map(|sent| Sent { headers: format!("{}{name}: {text}\r\n", sent.headers), ..sent })
}

fn mcp(message: String) -> Option<Sent> {
    let headers = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
    sent("POST", "/mcp".into(), headers.into(), message)
}

fn call(tool: &str, arguments: &Value) -> Option<Sent> {
    let params = json!({"name": tool, "arguments": arguments});
    mcp(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string())
}

/// Inputs of the REST API: fields, fields of a wrong type, names of fields, broken bodies.
fn bodies(text: &str) -> Vec<Option<Sent>> {
    let id = "0".repeat(32);
    vec![
        post("/v1/memories", &json!({"content": text})),
        post("/v1/memories", &json!({"content": "a", "title": text, "project": text, "tags": [text]})),
        post("/v1/memories", &json!({"content": "a", "actor": text, "session": text, "type": text})),
        post("/v1/memories", &json!({"content": [text], "occurred_at": text})),
        post("/v1/memories", &json!({"content": "a", "occurred_at": text})),
        post("/v1/memories", &json!({"content": "a", text: 1})),
        post("/v1/memories", &json!({"content": "a", "same_text": text})),
        sent("POST", "/v1/memories".into(), String::new(), format!("{{\"content\": \"{text}")),
        sent("POST", "/v1/memories".into(), String::new(), text.to_owned()),
        post("/v1/memories/batch", &json!({"memories": [{"content": text}, {"contents": text}]})),
        post("/v1/memories/entries", &json!({"ids": [text]})),
        post(&format!("/v1/memories/{id}/invalidate"), &json!({"reason": text, "valid_until": text})),
        post("/v1/documents", &json!({"documents": [{"source": text, "content": text}], "project": text})),
        post("/v1/feedback", &json!({"memory": text, "rating": text})),
        post("/v1/checkout", &json!({"query": text, "limit": text})),
        post("/v1/checkout", &json!({"query": text, "mandatory_types": [text]})),
        post("/v1/events", &json!({"events": [{"type": text, "payload": {text: text}}]})),
        post("/v1/forget", &json!({"session": text, "reason": text, "actor": text})),
        post("/v1/forget", &json!({"ids": [text], "reason": "x"})),
        post("/v1/retention/plan", &json!({"rules": {text: 1}})),
        post(
            "/v1/retention/apply",
            &json!({"plan_hash": text, "reason": text, "as_of": text, "applied_seq": 1}),
        ),
        sent(
            "PUT",
            "/v1/retrieval/weights".into(),
            String::new(),
            json!({"weights": {text: 1.0}}).to_string(),
        ),
        sent(
            "PUT",
            "/v1/items".into(),
            String::new(),
            json!({"namespace": [text], "key": text, "value": {text: text}}).to_string(),
        ),
        post(
            "/v1/items/search",
            &json!({"namespace": [text], "query": text, "filter": {text: {"$eq": text}}}),
        ),
        post(
            "/v1/entities",
            &json!({"entities": [{"name": text, "type": text, "observations": [text]}], "project": text}),
        ),
        post("/v1/relations", &json!({"relations": [{"from": text, "to": text, "type": text}]})),
        post("/v1/graph/open", &json!({"names": [text], "project": text})),
    ]
}

/// Inputs outside of bodies: paths, query strings, headers, methods, and heads that are not HTTP.
fn heads(text: &str) -> Vec<Option<Sent>> {
    let coded = escaped(text);
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    vec![
        get(format!("/{coded}")),
        get(format!("/v1/memories/{coded}")),
        get(format!("/v1/search?q={coded}&project={coded}")),
        get(format!("/v1/search?q=kettle&limit={coded}")),
        get(format!("/v1/search?{coded}=1")),
        get(format!("/v1/search?q=kettle&as_of={coded}&mode={coded}")),
        get(format!("/v1/items?namespace={coded}&key={coded}")),
        get(format!("/v1/graph/neighbours?entity={coded}")),
        get(format!("/v1/log/proof/{coded}")),
        header("x-request-id", text),
        header("traceparent", text),
        header("authorization", text),
        header("user-agent", text),
        header("x-memory-project", text),
        with_header("idempotency-key", text, post("/v1/memories", &json!({"content": "a"}))),
        with_header("content-type", text, post("/v1/memories", &json!({"content": "a"}))),
        with_header(
            "x-memory-project",
            text,
            post("/store/items/search", &json!({"namespace_prefix": [text]})),
        ),
        is_word.then(|| sent(text, "/v1/memories".into(), String::new(), String::new())).flatten(),
        sent("GET", text.to_owned(), String::new(), String::new()),
        admin(get(format!("/{coded}"))),
        admin(get(format!("/checkpoint?extends={coded}"))),
        admin(get(format!("/checkpoint?{coded}=1"))),
        admin(post("/anchor", &json!({"checkpoint": text, "key": text}))),
        admin(sent("POST", "/anchor".into(), String::new(), text.to_owned())),
        admin(header("x-request-id", text)),
        admin(post("/mode/force", &hold(text))),
        admin(post("/mode/force", &json!({"mode": text, "reason": text, "by": text, "ttl_seconds": text}))),
        admin(post("/mode/invalidate", &json!({"session": text}))),
        admin(put(
            "/mode/declared",
            &json!({"hold": {"mode": "read_write", "reason": text, "by": text, "until": text}}),
        )),
        admin(put("/mode/wanted", &json!({"mode": text, "told_by": {"uid": text, "generation": text}}))),
    ]
}

/// Inputs of the Model Context Protocol and of the adapters.
fn protocols(text: &str) -> Vec<Option<Sent>> {
    let memory_tool = |body: &Value| post("/v1/adapters/anthropic-memory", body);
    vec![
        call("memory_save", &json!({"content": text, "project": text})),
        call("memory_save", &json!({"content": "a", text: text})),
        call("memory_search", &json!({"query": text, "limit": text})),
        call("memory_search", &json!({"query": {"a": text}, "mode": text})),
        call("memory_get", &json!({"id": text})),
        call("memory_invalidate", &json!({"id": text, "reason": text, "valid_until": text})),
        call("memory_forget", &json!({"ids": [text], "reason": text, "dry_run": false})),
        call(text, &json!({})),
        mcp(json!({"jsonrpc": "2.0", "id": text, "method": text}).to_string()),
        mcp(json!({"jsonrpc": text, "id": 1, "method": "tools/call", "params": text}).to_string()),
        mcp(format!("{{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"{text}\", ")),
        with_header("mcp-protocol-version", text, call("memory_status", &json!({}))),
        with_header("mcp-session-id", text, call("memory_status", &json!({}))),
        with_header("origin", text, call("memory_status", &json!({}))),
        with_header("accept", text, call("memory_status", &json!({}))),
        memory_tool(&json!({"command": "create", "path": format!("/memories/{text}"), "file_text": text})),
        memory_tool(&json!({"command": "view", "path": format!("/memories/{text}"), "view_range": [text]})),
        memory_tool(&json!({"command": text, "path": text})),
        sent(
            "PUT",
            "/store/items".into(),
            String::new(),
            json!({"namespace": [text], "key": text, "value": {"a": text}}).to_string(),
        ),
        post(
            "/store/items/search",
            &json!({"namespace_prefix": [text], "query": text, "filter": {text: text}}),
        ),
        post("/store/namespaces", &json!({"prefix": [text], "max_depth": text})),
    ]
}

/// Sends a request on a connection of its own, because a head that is not HTTP ends the connection.
fn send(engine: &Running, sent: &Sent) -> Option<Answer> {
    let address = if sent.admin { engine.admin } else { engine.api };
    let mut client = Client::connect(address).unwrap();
    client.send(&sent.method, &sent.path, &sent.headers, &sent.body).unwrap();
    client.answer().ok()
}

fn engine(data: &std::path::Path, collector: &Collector) -> Running {
    let config = data.join("config.yaml");
    // Nothing listens on the port of the reranker, so that its failures are logged too; the guard would turn reads off
    // because of them.
    std::fs::write(
        &config,
        collector.configuration()
            + "log: {level: trace}\nguard: {enabled: false}\nrerank: {url: 'http://127.0.0.1:9/v1/rerank', model: m}\n",
    )
    .unwrap();
    let engine = Running::spawn_with(data, &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

#[test]
fn nothing_that_is_planted_leaves_the_engine() {
    let (data, texts) = (tempfile::tempdir().unwrap(), planted());
    assert!(texts.iter().filter(|planted| planted.is_secret).count() >= 1_000, "{} texts", texts.len());
    let collector = Collector::start(Manner::Takes);
    let engine = engine(data.path(), &collector);
    let (mut requests, mut refused, mut told) = (0, 0, Vec::new());
    for (number, planted) in texts.iter().enumerate() {
        let inputs: Vec<Option<Sent>> =
            [bodies(&planted.text), heads(&planted.text), protocols(&planted.text)]
                .into_iter()
                .flatten()
                .collect();
        let begin = number * 7 % inputs.len();
        for sent in inputs.iter().cycle().skip(begin).take(INPUTS_EACH).flatten() {
            let Some(answer) = send(&engine, sent) else { continue };
            requests += 1;
            if answer.status >= 400 {
                refused += 1;
                // The protocol requires that an error has the id of its request.
                let body = answer.body.replace(&format!("\"id\":{}", json!(planted.text)), "");
                let values = found_in(std::slice::from_ref(planted), &body);
                told.extend(
                    values
                        .iter()
                        .map(|part| format!("{} {}: {part}: {}", sent.method, sent.path, answer.body)),
                );
            }
        }
    }
    assert!(requests > 5_000 && refused > 2_000, "{requests} requests, {refused} refused");
    assert!(told.is_empty(), "{} errors quote a value: {}", told.len(), told.join("\n"));
    let metrics = engine.admin("/metrics").body;
    engine.send_terminate();
    eventually("stopped", || engine.said().contains("\"message\":\"stopped\""));
    let said = engine.said();
    assert!(
        said.lines().filter(|line| line.contains("\"answered\"")).count() > 5_000,
        "every request was logged"
    );
    let spans = collector.text();
    assert!(collector.spans().len() > 5_000, "every request has a span");
    for output in [&said, &metrics, &spans] {
        let found = found_in(&texts, output);
        assert!(
            found.is_empty(),
            "{} of {} are found, such as {:?}",
            found.len(),
            texts.len(),
            &found[..found.len().min(3)]
        );
        // The search itself works.
        let part = &texts[texts.len() / 2].parts[0];
        assert!(found_in(&texts, &format!("{output}{part}")).contains(&part.as_str()));
    }
}

#[test]
fn a_faulty_configuration_is_refused_without_its_values() {
    let (data, texts) = (tempfile::tempdir().unwrap(), planted());
    let config = data.path().join("config.yaml");
    for (number, planted) in texts.iter().enumerate().step_by(40) {
        let value = json!(planted.text);
        let text = match number / 40 % 4 {
            0 => format!("log: {{level: {value}}}"),
            1 => format!("shutdown: {{drainSeconds: {value}}}"),
            2 => format!("policy: {{{value}: 1}}"),
            _ => format!("log: [{}", planted.text),
        };
        std::fs::write(&config, text).unwrap();
        let output = binary()
            .args(["serve", "--data"])
            .arg(data.path())
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(found_in(std::slice::from_ref(planted), &said), [""; 0], "{said}");
    }
}
