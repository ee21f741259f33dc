//! Programs of others that speak with the engine. `make setup` installs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::process::Running;

/// A program below the folder where setup puts what tests need.
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

fn check(output: &Output) -> String {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

/// The client that the protocol's own project publishes for Python, in every revision it speaks.
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
    assert!(said.contains("2026-07-28") && said.contains("2025-11-25"), "both ways to begin: {said}");
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 8, "a save and an end, twice over each transport");
}

/// Scenarios of the protocol's conformance suite that a server of tools can be put to. Those left out ask for prompts,
/// resources, completion, logging, sampling or elicitation, which the engine does not claim to have, or for tools that
/// give images, audio, resources or progress, which it has none of; docs/guide/mcp.md lists them.
const CONFORMANCE: [(&str, &[&str]); 2] = [
    ("2025-11-25", &["server-initialize", "ping", "tools-list", "dns-rebinding-protection"]),
    ("2026-07-28", &["tools-list", "dns-rebinding-protection"]),
];

#[test]
fn the_conformance_suite_finds_nothing() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let url = format!("http://{}/mcp", engine.api);
    let suite = tool("mcp-conformance/node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let node = tool("mcp-conformance/node");
    for (revision, scenarios) in CONFORMANCE {
        for scenario in scenarios {
            let output = Command::new(&node)
                .arg(&suite)
                .args(["server", "--url", &url, "--spec-version", revision, "--scenario", scenario])
                .current_dir(data.path())
                .output()
                .unwrap();
            let said = check(&output);
            assert!(
                said.contains("Passed: ") && !said.contains("Passed: 0/"),
                "{scenario} {revision}: {said}"
            );
        }
    }
}
