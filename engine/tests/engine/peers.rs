//! Third-party programs that talk to the engine. `make setup` installs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::mcp::{JSON, post};
use crate::process::{Running, eventually};

/// Path of a program below the directory in which `make setup` installs the test tools.
pub(crate) fn tool(path: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty()).map(PathBuf::from);
    let tool = cache.or_else(home).unwrap().join("memoryengine").join(path);
    assert!(tool.exists(), "{} is missing: run `make setup`", tool.display());
    tool
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mcp").join(name)
}

pub(crate) fn check(output: &Output) -> String {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

/// Runs the official Python client of the protocol, in every protocol revision that it supports.
#[test]
fn the_python_client_uses_every_tool_over_both_transports() {
    let (own, served) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = Running::start(served.path());
    let url = format!("http://{}", engine.api);
    let run = |arguments: &[&str]| {
        let python = tool("mcp-venv/bin/python");
        check(&Command::new(python).arg(script("client.py")).args(arguments).output().unwrap())
    };
    let binary = env!("CARGO_BIN_EXE_memory-engine");
    run(&["stdio", binary, "--data", own.path().to_str().unwrap()]);
    run(&["stdio", binary, "--url", &url]);
    let said = run(&["http", &format!("{url}/mcp")]);
    assert!(said.contains("2026-07-28") && said.contains("2025-11-25"), "both ways to initialise: {said}");
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 20, "five writes, twice over each transport");
}

/// Runs the same client with the tools of the MCP server `memory`, over both transports. Shapes and texts equal those
/// of that server.
#[test]
fn clients_of_server_memory_find_what_they_call() {
    let (own, served) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = served.path().join("config.yaml");
    fs::write(&config, "mcp: {serverMemoryTools: true, serverMemoryProject: known}\n").unwrap();
    let engine = Running::spawn_with(served.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let run = |arguments: &[&str]| {
        let python = tool("mcp-venv/bin/python");
        check(&Command::new(python).arg(script("server_memory.py")).args(arguments).output().unwrap())
    };
    let binary = env!("CARGO_BIN_EXE_memory-engine");
    run(&["stdio", binary, "--data", own.path().to_str().unwrap(), "--server-memory-tools"]);
    run(&["stdio", binary, "--url", &format!("http://{}", engine.api)]);
    run(&["http", &format!("http://{}/mcp", engine.api)]);
    let found = |project: &str| engine.get(&format!("/v1/graph?project={project}")).json()["entities"].take();
    assert_eq!(found("known").as_array().unwrap().len(), 1, "the entity that the script leaves");
    assert_eq!(found("default"), serde_json::json!([]), "one project's graph");
}

/// Schemas are plain JSON Schema: strict parsers compile all of them, and a parser that knows every keyword of the
/// standard finds no unknown keyword.
#[test]
fn every_schema_is_one_to_a_strict_reader() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    fs::write(&config, "mcp: {serverMemoryTools: true}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let tools = post(&engine, JSON, list).json()["result"]["tools"].take();
    let compile = |tools: &Value| {
        let file = data.path().join("tools.json");
        fs::write(&file, tools.to_string()).unwrap();
        let mut node = Command::new(tool("mcp-conformance/node"));
        node.arg(script("schemas.cjs")).arg(tool("mcp-conformance/node_modules")).arg(&file).output().unwrap()
    };
    let compiled: usize = check(&compile(&tools)).trim().parse().unwrap();
    let schemas =
        |field: &str| tools.as_array().unwrap().iter().filter(|tool| tool[field].is_object()).count();
    assert_eq!(compiled, schemas("inputSchema") + schemas("outputSchema"));
    assert!(compiled >= 21 + 9, "{compiled}");
    for (field, word) in [("format", serde_json::json!("uint64")), ("minimun", serde_json::json!(1))] {
        let mut wrong = tools.clone();
        wrong[0]["inputSchema"]["properties"]["limit"][field] = word;
        assert!(!compile(&wrong).status.success(), "{field} goes unnoticed");
    }
    for tool in tools.as_array().unwrap() {
        assert!(!tool.to_string().contains("\"format\":\"uint"), "{tool}");
    }
}

/// Scenarios of the protocol's conformance suite that apply to a server with only tools, by protocol revision. The
/// other scenarios request prompts, resources, completion, logging, sampling or elicitation, which the engine does not
/// declare, or call tools by the names that they have in the suite's own server. docs/guide/mcp.md lists them.
const CONFORMANCE: [(&str, &[&str]); 2] = [
    ("2025-11-25", &["server-initialize", "ping", "tools-list", "dns-rebinding-protection"]),
    (
        "2026-07-28",
        &[
            "server-stateless",
            "tools-list",
            "server-sse-multiple-streams",
            "dns-rebinding-protection",
            "caching",
            "http-header-validation",
        ],
    ),
];

/// Checks within these scenarios that do not apply, and why they fail in the suite.
const NOT_APPLICABLE: [(&str, &str); 7] = [
    ("sep-2575-server-rejects-undeclared-capability", "server does not list the diagnostic tool"),
    ("sep-2575-missing-capability-http-400", "server does not list the diagnostic tool"),
    ("sep-2575-http-server-no-independent-requests-on-stream", "server does not list the diagnostic tool"),
    ("sep-2575-server-no-log-without-loglevel", "server does not list the diagnostic tool"),
    ("sep-2549-prompts-list-caching-hints", "-32601"),
    ("sep-2549-resources-list-caching-hints", "-32601"),
    ("sep-2549-resources-templates-list-caching-hints", "-32601"),
];

/// Returns the checks of a scenario: result, name and error.
fn checks(said: &str) -> Vec<(String, String, String)> {
    let start = said.find("[\n").expect("a list of checks");
    let list = serde_json::Deserializer::from_str(&said[start..]).into_iter::<Vec<Value>>().next();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    let list = list.expect("a list of checks").expect("a list of checks");
    list.iter().map(|check| (text(check, "status"), text(check, "id"), text(check, "errorMessage"))).collect()
}

#[test]
fn the_conformance_suite_finds_nothing() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let url = format!("http://{}/mcp", engine.api);
    let suite = tool("mcp-conformance/node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let node = tool("mcp-conformance/node");
    let (mut passed, mut excused) = (0, 0);
    for (revision, scenarios) in CONFORMANCE {
        for scenario in scenarios {
            // The output goes to a file, because the suite exits before it has written everything to a pipe.
            let said = data.path().join("said");
            let status = Command::new(&node)
                .arg(&suite)
                .args([
                    "server",
                    "--url",
                    &url,
                    "--spec-version",
                    revision,
                    "--scenario",
                    scenario,
                    "--verbose",
                ])
                .current_dir(data.path())
                .stdout(fs::File::create(&said).unwrap())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            let said = fs::read_to_string(said).unwrap();
            let before = passed;
            for (status, id, message) in checks(&said) {
                let excuse = NOT_APPLICABLE.iter().any(|(known, why)| *known == id && message.contains(why));
                match status.as_str() {
                    "SUCCESS" => passed += 1,
                    "FAILURE" if excuse => excused += 1,
                    // Checks of features that the server declares not to have.
                    "SKIPPED" | "INFO" => {}
                    _ => panic!("{scenario} {revision}: {status} {id}: {message}"),
                }
            }
            assert!(passed > before, "{scenario} {revision} checked nothing: {status} {said}");
        }
    }
    println!("{passed} checks passed, {excused} do not apply");
    assert_eq!(excused, NOT_APPLICABLE.len(), "an exception that is no longer needed");
}
