//! The OpenAPI document: current, complete, and consistent with a running engine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::peers::tool;
use crate::process::Running;

/// Paths of the clients' port that belong to protocols with their own description.
const OTHER_PROTOCOLS: [&str; 2] = ["/mcp", "/mcp/"];

/// An id for examples. No event has this id.
const EXAMPLE_ID: &str = "0123456789abcdef0123456789abcdef";

/// How long the fuzzer runs, in seconds: enough for some thousand requests.
const FUZZ_SECONDS: u32 = 60;

/// All checks of the fuzzer, except those that need secrets or knowledge of the meaning of a request.
const FUZZ_CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method";

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_committed_document_is_the_served_one() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let served = engine.get("/v1/openapi.json");
    assert!(served.has_header("content-type: application/json"), "{}", served.head);
    let path = checkout().join("docs/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &served.body).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == served.body, "docs/openapi.json is stale: run `make generate`");
}

/// Returns the paths that the router's source names.
fn routed(source: &str) -> Vec<&str> {
    let (_, routes) = source.split_once("pub(crate) fn routes(").expect("the router of the clients' port");
    let (routes, _) = routes.split_once("\n}").expect("its end");
    routes.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1)).collect()
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let document = engine.get("/v1/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    let mut known = routed(include_str!("../../src/api/mod.rs"));
    known.retain(|path| !OTHER_PROTOCOLS.contains(path));
    known.sort_unstable();
    assert_eq!(paths.keys().map(String::as_str).collect::<Vec<_>>(), known);
    for (path, operations) in paths {
        let concrete = path.replace("{id}", "x").replace("{seq}", "1");
        let refused = engine.connect().request("TRACE", &concrete, "", "").unwrap();
        assert_eq!(refused.status, 405, "{path}: {refused:?}");
        let allow = refused
            .head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("allow: ").map(str::to_owned));
        let mut allowed: Vec<String> = allow.unwrap().split(',').map(str::to_owned).collect();
        allowed.retain(|method| method != "head");
        allowed.sort();
        assert_eq!(&allowed, &operations.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), "{path}");
    }
    let example = "pub(crate) fn routes() {\n    x.route(\"/a\", get(b))\n        .route(\n  \"/c/{d}\",\n post(e))\n}\nfn f() { .route(\"/g\") }";
    assert_eq!(routed(example), ["/a", "/c/{d}"]);
}

#[test]
fn examples_are_accepted() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let id = engine.save("x").json()["id"].as_str().unwrap().to_owned();
    let document = engine.get("/v1/openapi.json").json();
    let mut all: Vec<(&String, &String, &Value)> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        all.extend(operations.as_object().unwrap().iter().map(|(method, it)| (path, method, it)));
    }
    // An object has to be put before it is read, and must be deleted last.
    let turn = |method: &str| ["put", "get", "post", "delete"].iter().position(|known| *known == method);
    all.sort_by_key(|(path, method, _)| (turn(method) == Some(3), turn(method) != Some(0), *path));
    let mut answered = BTreeMap::new();
    for (path, method, operation) in all {
        let (mut path, mut query, mut headers) = (path.clone(), Vec::new(), String::new());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let example = &parameter["example"];
            let value = example.as_str().map_or_else(|| example.to_string(), |text| text.replace(' ', "+"));
            match (parameter["in"].as_str().unwrap(), name) {
                // The id of this test's memory, and a moment at which the memory is known and valid.
                ("path", _) => path = path.replace("{id}", &id).replace("{seq}", &value),
                ("query", "as_of" | "known_at") => {}
                ("query", _) => match example.as_array() {
                    Some(each) => {
                        query.extend(each.iter().map(|one| format!("{name}={}", one.as_str().unwrap())));
                    }
                    None => query.push(format!("{name}={value}")),
                },
                (_, "Idempotency-Key") => headers.push_str(&format!("{name}: {method}{path}\r\n")),
                _ => headers.push_str(&format!("{name}: {value}\r\n")),
            }
        }
        let mut body = operation["requestBody"]["content"]["application/json"]["example"].clone();
        if operation["operationId"] == "applyRetention" {
            let plan = json!({ "rules": body["rules"] }).to_string();
            let plan = engine.post("/v1/retention/plan", "", &plan).json();
            for field in ["plan_hash", "as_of", "applied_seq"] {
                body[field] = plan[field].clone();
            }
        }
        let body = if body.is_null() { String::new() } else { body.to_string().replace(EXAMPLE_ID, &id) };
        let target = format!("{path}?{}", query.join("&"));
        // The operation of another path may have deleted the same object already.
        let put = &document["paths"][&path]["put"]["requestBody"]["content"]["application/json"]["example"];
        if method == "delete" && !put.is_null() {
            engine.connect().request("PUT", &path, "", &put.to_string()).unwrap();
        }
        let answer = engine.connect().request(&method.to_uppercase(), &target, &headers, &body).unwrap();
        assert!((200..300).contains(&answer.status), "{method} {target}: {answer:?}");
        answered.insert(operation["operationId"].to_string(), answer.status);
    }
    assert!(answered.len() >= 45, "{answered:?}");
}

/// Valid and invalid requests are generated, and every response is checked against the document.
#[test]
fn the_document_is_true_of_a_running_engine() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    for n in 0..20 {
        engine.save(&format!("memory {n}"));
    }
    let mut described = engine.get("/v1/openapi.json").json();
    // By design, a request that waits for events ends in a 503 if no client writes any, and takes long.
    for operation in operations(&mut described) {
        if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
            parameters.retain(|parameter| parameter["name"] != "min_seq");
        }
    }
    for schema in described["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("min_seq");
        }
    }
    let fuzz = |described: &Value, phases: &str, more: &[&str]| {
        let document = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        fs::write(document.path(), described.to_string()).unwrap();
        let output = Command::new(tool("mcp-venv/bin/schemathesis"))
            .arg("run")
            .arg(document.path())
            .args(["--url", &format!("http://{}", engine.api), "--checks", FUZZ_CHECKS, "--phases", phases])
            .args(["--mode", "all", "--seed", "1", "--no-color", "--suppress-health-check", "all"])
            .args(["--max-time", &FUZZ_SECONDS.to_string(), "--request-timeout", "30"])
            .args(more)
            .current_dir(data.path())
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    };
    let mut lie = described.clone();
    lie["paths"]["/v1/memories"]["post"]["responses"].as_object_mut().unwrap().remove("201");
    let (fine, said) = fuzz(&lie, "examples", &["--include-operation-id", "saveMemory"]);
    assert!(!fine && said.contains("Undocumented status code"), "a wrong document goes unnoticed: {said}");

    let (fine, said) = fuzz(&described, "examples,coverage,fuzzing", &[]);
    assert!(fine, "{said}");
    assert_eq!(engine.admin("/readyz").status, 200, "{said}");
    println!("{}", said.rsplit_once("Test Phases").map_or("", |(_, summary)| summary));
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().unwrap();
    paths.values_mut().flat_map(|path| path.as_object_mut().unwrap().values_mut())
}
