//! Drills of a running engine: each passes on a good one, fails on one with a defect, and leaves nothing behind.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::drill_proxy::DefectProxy;
use crate::modes::start;
use crate::process::{Running, binary, eventually};
use crate::reader_tls::Closed;
use crate::readers::{reader_of, url};

/// A drill of the engine behind these addresses.
pub(crate) fn command(name: &str, api: SocketAddr, admin: SocketAddr, more: &[&str]) -> Command {
    let mut command = binary();
    command.args(["drill", name, "--json", "--api", &url(api), "--admin", &admin.to_string()]).args(more);
    command
}

/// The exit code and the verdict of a drill.
pub(crate) fn verdict(mut command: Command) -> (i32, Value) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    let verdict = serde_json::from_slice(&stdout).unwrap_or_else(|fault| panic!("{fault}: {said}"));
    (status.code().unwrap(), verdict)
}

pub(crate) fn drill(engine: &Running, name: &str, more: &[&str]) -> (i32, Value) {
    verdict(command(name, engine.api, engine.admin, more))
}

/// The names of the checks that do not hold.
pub(crate) fn failed(verdict: &Value) -> Vec<&str> {
    let checks = verdict["checks"].as_array().unwrap_or_else(|| panic!("no checks: {verdict}"));
    let failed = checks.iter().filter(|check| check["ok"] == false);
    failed.map(|check| check["name"].as_str().unwrap()).collect()
}

/// What a check of this name says.
fn detail<'a>(verdict: &'a Value, name: &str) -> &'a str {
    let checks = verdict["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name}: {verdict}"))["detail"].as_str().unwrap()
}

/// Nothing that a drill has saved is found, whoever looks.
pub(crate) fn assert_nothing_left(engine: &Running, run: &str) {
    let project = format!("drill-{run}");
    assert_eq!(engine.total(&format!("project={project}")), 0, "search");
    let graph = engine.get(&format!("/v1/graph?project={project}")).json();
    assert_eq!(graph["entities"], json!([]));
    let events = engine.get(&format!("/v1/events?limit=1000&project={project}")).json();
    let events = events["events"].as_array().unwrap().clone();
    assert!(!events.is_empty(), "the drill has saved something");
    for event in events {
        assert_eq!((&event["type"], &event["payload"]), (&json!("memory.saved"), &Value::Null));
        let id = event["id"].as_str().unwrap();
        assert_eq!(engine.get(&format!("/v1/memories/{id}")).status, 404, "get");
        let entries = engine.post("/v1/memories/entries", "", &json!({"ids": [id]}).to_string()).json();
        assert_eq!(entries["entries"], json!([]));
    }
}

#[test]
fn every_drill_passes_on_a_good_engine_and_leaves_nothing_behind() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("What somebody has saved stays.");
    let message = data.path().join("termination-log");
    let more = ["--run", "good-1", "--disturb", "--termination-log", message.to_str().unwrap()];
    let (code, verdicts) = drill(&engine, "all", &more);
    let outcomes: Vec<(&str, &str)> = verdicts
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| (verdict["drill"].as_str().unwrap(), verdict["outcome"].as_str().unwrap()))
        .collect();
    let expected = [
        ("write-path", "passed"),
        ("mode", "passed"),
        ("metrics", "passed"),
        ("read-path", "passed"),
        // This engine has no embedding service.
        ("auth-failure", "skipped"),
        ("consecutive-failures", "skipped"),
    ];
    assert_eq!((code, outcomes.as_slice()), (0, expected.as_slice()), "{verdicts:#}");
    assert_eq!(detail(&verdicts[0], "nothing_is_left"), "4 memories were forgotten");
    assert!(detail(&verdicts[1], "held").starts_with("the mode is write_only"), "{verdicts:#}");
    assert_nothing_left(&engine, "good-1");
    assert_eq!(engine.total("q=somebody"), 1);
    let told: Value = serde_json::from_str(&std::fs::read_to_string(&message).unwrap()).unwrap();
    assert_eq!((&told["ok"], &told["drills"]["mode"]["outcome"]), (&json!(true), &json!("passed")));
    let seen = format!("{verdicts} {told}");
    assert!(!seen.contains("example.org") && !seen.contains("555"), "no memory text: {seen}");

    let output = binary()
        .args(["drill", "mode", "--api", &url(engine.api), "--admin", &engine.admin.to_string()])
        .output()
        .unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && table.starts_with("mode  ") && table.contains("passed"), "{table}");
}

/// A dark launch writes nothing: not even a memory that is forgotten, or a hold.
#[test]
fn read_only_drills_write_nothing() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let (code, verdict) = drill(&engine, "read-path", &["--read-only"]);
    assert_eq!((code, &verdict["outcome"]), (0, &json!("skipped")), "there is no memory: {verdict:#}");
    engine.save("A memory that is there.");
    let head = engine.get("/v1/log/head").json();
    let (code, verdicts) = drill(&engine, "all", &["--read-only", "--disturb", "--run", "dark"]);
    let outcomes: Vec<&str> =
        verdicts.as_array().unwrap().iter().map(|verdict| verdict["outcome"].as_str().unwrap()).collect();
    let expected = ["skipped", "passed", "passed", "passed", "skipped", "skipped"];
    assert_eq!((code, outcomes.as_slice()), (0, expected.as_slice()), "{verdicts:#}");
    assert_eq!(detail(&verdicts[0], "writes"), "skipped: --read-only");
    assert_eq!(detail(&verdicts[3], "citations"), "1 of 1 name an event of the log");
    assert_eq!(engine.get("/v1/log/head").json(), head, "something was written");
}

#[test]
fn a_policy_that_is_off_is_skipped_or_fails_if_it_is_expected() {
    let data = tempfile::tempdir().unwrap();
    let engine = start(data.path(), "policy: {block: [], redact: []}\n", &[]);
    let (code, verdict) = drill(&engine, "write-path", &[]);
    assert_eq!((code, &verdict["outcome"]), (0, &json!("passed")), "{verdict:#}");
    assert_eq!(
        (detail(&verdict, "policy"), detail(&verdict, "redacted")),
        ("skipped: no policy", "skipped: no policy")
    );
    let (code, verdict) = drill(&engine, "write-path", &["--expect-policy", "--run", "off"]);
    assert_eq!((code, failed(&verdict)), (1, vec!["policy"]), "{verdict:#}");
}

/// An engine that says that it has a policy and stores everything.
#[test]
fn a_policy_that_does_not_redact_or_refuse_fails() {
    let data = tempfile::tempdir().unwrap();
    let engine = start(data.path(), "policy: {block: [], redact: []}\n", &[]);
    let policy = json!({"block": ["aws-access-key-id"], "redact": ["email", "phone"], "exceptions": 0});
    let admin = DefectProxy::before(engine.admin, move |request, _, answer| {
        if request.starts_with("GET /policy ") { policy.to_string() } else { answer }
    });
    let (code, verdict) = verdict(command("write-path", engine.api, admin.address, &["--run", "lies"]));
    assert_eq!((code, failed(&verdict)), (1, vec!["secret_refused", "redacted", "redacted"]), "{verdict:#}");
    assert!(detail(&verdict, "redacted").contains("\"get\", \"search\", \"timeline\""), "{verdict:#}");
    assert_nothing_left(&engine, "lies");
}

/// Each defect is one that a drill exists for: what a port answers is changed in this way.
#[test]
fn a_drill_fails_on_an_engine_with_its_defect() {
    type Defect = fn(&str, &str, String) -> String;
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let cases: [(&str, &str, Defect, Defect); 8] = [
        ("write-path", "in_log", same, |request, _, answer| {
            edited(request, "GET /v1/events", answer, |answer| answer["events"][0]["hash"] = json!("0"))
        }),
        ("write-path", "in_log_head", same, |request, _, answer| {
            edited(request, "GET /v1/log/head", answer, |answer| answer["seq"] = json!(0))
        }),
        ("mode", "as_found", same_gauge_of_another_mode, same),
        (
            "mode",
            "as_found",
            |request, _, answer| {
                edited(request, "GET /health", answer, |answer| {
                    answer["mode"]["effective"] = json!("read_only");
                })
            },
            same,
        ),
        ("metrics", "finite", |request, _, answer| line(request, answer, "memory_log_segments", "NaN"), same),
        (
            "metrics",
            "counted",
            |request, _, answer| line(request, answer, "memory_http_requests_total", "7"),
            same,
        ),
        ("read-path", "citations", same, |request, _, answer| {
            edited(request, "GET /v1/search", answer, |answer| {
                let items = answer["items"].as_array_mut().unwrap();
                items.iter_mut().for_each(|item| item["citation"] = json!("1:000000000000"));
            })
        }),
        (
            "read-path",
            "cached",
            |request, _, answer| line(request, answer, "memory_cache_requests_total", "0"),
            same,
        ),
    ];
    for (number, (name, check, admin, api)) in cases.into_iter().enumerate() {
        let admin = DefectProxy::before(engine.admin, admin);
        let api = DefectProxy::before(engine.api, api);
        let run = format!("defect-{number}");
        let (code, verdict) = verdict(command(name, api.address, admin.address, &["--run", &run]));
        assert_eq!((code, &verdict["outcome"]), (1, &json!("failed")), "{check}: {verdict:#}");
        assert!(failed(&verdict).contains(&check), "{check}: {verdict:#}");
        assert_eq!(engine.total(&format!("project=drill-{run}")), 0, "{check}");
    }
}

fn same(_: &str, _: &str, answer: String) -> String {
    answer
}

/// The gauge says another mode than the report.
fn same_gauge_of_another_mode(request: &str, _: &str, answer: String) -> String {
    if !request.starts_with("GET /metrics ") {
        return answer;
    }
    let changed = answer.lines().map(|line| match line.rsplit_once(' ') {
        Some((sample, _)) if line.starts_with("memory_mode{") => {
            format!("{sample} {}\n", u8::from(line.contains("mode=\"read_only\"")))
        }
        _ => format!("{line}\n"),
    });
    changed.collect()
}

/// The answer to a request that begins so, changed.
fn edited(request: &str, begin: &str, answer: String, edit: impl FnOnce(&mut Value)) -> String {
    if !request.starts_with(begin) {
        return answer;
    }
    let mut value: Value = serde_json::from_str(&answer).unwrap();
    if value["error"].is_null() {
        edit(&mut value);
    }
    value.to_string()
}

/// Metrics in which every sample of this name has this value.
fn line(request: &str, answer: String, name: &str, value: &str) -> String {
    if !request.starts_with("GET /metrics ") {
        return answer;
    }
    let changed = answer.lines().map(|line| match line.rsplit_once(' ') {
        Some((sample, _)) if line.starts_with(name) => format!("{sample} {value}\n"),
        _ => format!("{line}\n"),
    });
    changed.collect()
}

#[test]
fn an_engine_that_does_not_answer_fails_and_wrong_arguments_are_another_exit_code() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let (api, admin) = (engine.api, engine.admin);
    engine.kill();
    let (code, verdict) = verdict(command("metrics", api, admin, &[]));
    assert_eq!((code, failed(&verdict)), (1, vec!["reached"]), "{verdict:#}");
    for more in [["--run", "a b"], ["--timeout", "0"], ["--tls-directory", "/nowhere"]] {
        let output = command("metrics", api, admin, &more).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{more:?}");
    }
}

/// Carries out a drill that reads the head of the log very slowly, after it has saved everything. Tells it to stop
/// then, if it has no limit of time.
fn interrupted(engine: &Running, run: &str, limit: &[&str], check: &str) {
    let slow = |request: &str, _: &str, answer: String| {
        if request.starts_with("GET /v1/log/head") {
            std::thread::sleep(std::time::Duration::from_secs(5));
        }
        answer
    };
    let api = DefectProxy::before(engine.api, slow);
    let mut child = command("write-path", api.address, engine.admin, &[&["--run", run], limit].concat());
    let child = child.stdout(Stdio::piped()).spawn().unwrap();
    if limit.is_empty() {
        eventually("everything is saved", || engine.total(&format!("project=drill-{run}")) == 4);
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), failed(&verdict)), (Some(1), vec![check]), "{verdict:#}");
    assert_eq!(detail(&verdict, "nothing_is_left"), "4 memories were forgotten");
    assert_nothing_left(engine, run);
}

/// What a drill has saved is forgotten when it is told to stop in the middle, and when its time is over.
#[test]
fn a_drill_that_is_stopped_or_too_slow_leaves_nothing_behind() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    interrupted(&engine, "told", &[], "not_stopped");
    interrupted(&engine, "slow", &["--timeout", "1"], "in_time");
}

/// A drill that was killed cannot undo anything; the next one with the same id does.
#[test]
fn the_next_run_with_the_same_id_forgets_what_a_killed_one_has_left() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let body = json!({"content": "Left by a drill that was killed.", "project": "drill-again"});
    engine.post("/v1/memories", "", &body.to_string());
    assert_eq!(engine.total("project=drill-again"), 1);
    let (code, verdict) = drill(&engine, "write-path", &["--run", "again"]);
    assert_eq!((code, &verdict["outcome"]), (0, &json!("passed")), "{verdict:#}");
    assert_nothing_left(&engine, "again");
}

#[test]
fn a_mode_that_allows_no_writes_or_reads_is_skipped_and_a_hold_of_somebody_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    crate::modes::force(&engine, "read_only", 60);
    let (code, verdict) = drill(&engine, "write-path", &[]);
    assert_eq!((code, &verdict["outcome"]), (0, &json!("skipped")), "{verdict:#}");
    let (code, verdict) = drill(&engine, "mode", &["--disturb"]);
    assert_eq!((code, detail(&verdict, "held")), (0, "skipped: a person holds the mode"));
    crate::modes::force(&engine, "write_only", 60);
    let (code, verdict) = drill(&engine, "write-path", &["--run", "unread"]);
    assert_eq!((code, &verdict["outcome"]), (0, &json!("passed")), "{verdict:#}");
    assert_eq!(detail(&verdict, "redacted"), "skipped: reads are off");
    assert_eq!(crate::modes::mode(&engine)["direct"]["by"], "a tester");
    engine.admin_post("/mode/clear", "");
    assert_nothing_left(&engine, "unread");
}

/// Writes go to the engine that owns the log, and what is forgotten there is gone here too.
#[test]
fn drills_of_a_reader_pass_and_leave_nothing_behind() {
    let (writer_data, reader_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let writer = Running::start(writer_data.path());
    let reader = reader_of(reader_data.path(), &url(writer.admin), &url(writer.api), &[]);
    eventually("the reader is ready", || reader.admin("/readyz").status == 200);
    let (code, verdicts) = drill(&reader, "all", &["--run", "reader", "--disturb"]);
    assert_eq!(code, 0, "{verdicts:#}");
    for verdict in &verdicts.as_array().unwrap()[..4] {
        assert_eq!(verdict["outcome"], "passed", "{verdicts:#}");
    }
    for engine in [&reader, &writer] {
        assert_nothing_left(engine, "reader");
    }
    assert_eq!(crate::modes::mode(&writer)["transitions"], json!([]), "the mode of a reader is its own");
    interrupted(&reader, "told", &[], "not_stopped");
    assert_nothing_left(&writer, "told");
}

#[test]
fn a_drill_reaches_ports_with_tls_that_demand_a_key_and_a_token() {
    let closed = Closed::start();
    eventually("ready", || closed.asked("/readyz", "admin") == 200);
    let path = |name: &str| closed.files.path().join(name).display().to_string();
    let (api, admin) = (closed.writer.api.port(), closed.writer.admin.port());
    let (api, admin) = (format!("https://localhost:{api}"), format!("localhost:{admin}"));
    let (directory, token) = (path("reader"), path("admin.token"));
    for (key, expected) in [("agent.token", (0, "passed")), ("reader.token", (1, "failed"))] {
        let mut command = binary();
        command.args(["drill", "read-path", "--json", "--api", &api, "--admin", &admin]);
        command.args([
            "--tls-directory",
            &directory,
            "--token-file",
            &path(key),
            "--admin-token-file",
            &token,
        ]);
        let (code, verdict) = verdict(command);
        assert_eq!((code, verdict["outcome"].as_str().unwrap()), expected, "{verdict:#}");
    }
}
