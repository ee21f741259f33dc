//! The status page on the admin port.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::peers::{check, tool};
use crate::process::{Running, eventually};

/// What a person could write into a reason.
const HOSTILE: &str = "</td><script>alert(1)</script><img src=x onerror=alert(2)>";

/// An engine with something to show: memories, searches, a hold whose reason is hostile.
fn busy(data: &Path) -> Running {
    let engine = Running::start(data);
    for n in 0..3 {
        assert_eq!(engine.save(&format!("the kettle {n} is blue")).status, 201);
        assert_eq!(engine.get(&format!("/v1/search?q=kettle+{n}&project=default")).status, 200);
    }
    let body = json!({"mode": "write_only", "reason": HOSTILE, "by": "a \"tester\"", "ttl_seconds": 3600});
    assert_eq!(engine.admin_post("/mode/force", &body.to_string()).status, 200);
    // The hold is recorded in the log after the request for it is answered.
    eventually("the hold is recorded and applied", || {
        let health = engine.health();
        health["log"]["seq"] == 4 && health["projection"]["lag"] == 0
    });
    engine
}

#[test]
fn the_status_page_shows_the_state_and_no_text_becomes_markup() {
    let data = tempfile::tempdir().unwrap();
    let engine = busy(data.path());
    let answer = engine.admin("/");
    assert_eq!(answer.status, 200);
    for header in [
        "content-type: text/html; charset=utf-8\r\n",
        "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-",
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
        "cache-control: no-store\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(answer.has_header(header), "{header}: {}", answer.head);
    }
    let page = answer.body;
    assert!(page.matches("<script").count() == 1 && !page.contains("<img"), "{page}");
    let health = engine.health();
    let seq = health["log"]["seq"].as_u64().unwrap();
    let until = engine.admin("/mode").json()["direct"]["until"].as_str().unwrap().to_owned();
    for shown in [
        "<strong class=\"bad\">degraded</strong>. Mode: <code>write_only</code>, wanted: <code>read_write</code>",
        "a hold at the engine allows less",
        "by <bdi>a &quot;tester&quot;</bdi><br>because <bdi>&lt;/td&gt;&lt;script&gt;alert(1)",
        &format!("until <time datetime=\"{until}\">"),
        &format!("<td>{seq} events, hash <code>{}…</code>", &health["log"]["hash"].as_str().unwrap()[..12]),
        &format!("<td>event {seq}</td>"),
        "<td>0 events</td>",
        "<code>append</code></th><td class=\"number\">4</td>",
        "<code>total</code></th><td class=\"number\">3</td>",
        "<title>Mean of each 10 seconds: lowest ",
        "<code>search</code></th><td>0 % hits of 3 lookups",
        &format!("<td>{}</td>", health["version"].as_str().unwrap()),
    ] {
        assert!(page.contains(shown), "{shown} is not in: {page}");
    }
    assert!(!page.contains("http-equiv"), "the page does not load itself again without a script");
    assert_eq!(engine.admin_post("/", "").status, 405);
    assert_eq!(engine.get("/").status, 404, "the clients' port does not have it");
}

/// A real browser, in light and dark: nothing is loaded from elsewhere, the keyboard reaches everything, axe finds no
/// violation, and the page changes until a person pauses it.
#[test]
fn a_browser_shows_the_status_page_without_a_violation() {
    let data = tempfile::tempdir().unwrap();
    let engine = busy(data.path());
    let mut node = Command::new(tool("browser/node"));
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/status_page.mjs"));
    node.arg(tool("browser/node_modules")).arg(format!("http://{}", engine.admin));
    assert_eq!(check(&node.output().unwrap()).trim(), "4 views");
}
