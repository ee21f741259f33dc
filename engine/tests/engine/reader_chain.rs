//! A reader whose writer, or whose network, is not what it should be: it never shows anything that the log does not
//! have.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::process::{Running, eventually, segment};
use crate::reader_proxy::{Fault, Proxy};
use crate::readers::{caught_up, lines, reader_of, url};

/// Events of the writer before a reader starts.
const EVENTS: usize = 20;

fn with_events() -> (Running, TempDir) {
    let data = tempfile::tempdir().unwrap();
    let writer = Running::start(data.path());
    (0..EVENTS).for_each(|n| assert_eq!(writer.save(&format!("fact number {n}")).status, 201));
    (writer, data)
}

/// Checks that a reader says what broke the chain, shows nothing, and does not begin again after a restart.
fn assert_broken(data: &Path, reader: Running, reason: &str, admin: &str) {
    eventually("the chain is broken", || reader.health()["following"]["state"] == "broken");
    let check = |reader: &Running| {
        let broken = reader.health()["following"]["broken"].clone();
        assert_eq!(broken["reason"], reason, "{broken}");
        let read = reader.get("/v1/search?q=fact");
        assert_eq!((read.status, read.code().as_str()), (503, "CHAIN_BROKEN"), "{read:?}");
        let tool = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "memory_search",
            "arguments": {"q": "fact"}}});
        let headers = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n";
        assert_eq!(reader.post("/mcp", headers, &tool.to_string()).status, 503);
        let written = reader.save("a fact of another history");
        assert_eq!((written.status, written.code().as_str()), (503, "CHAIN_BROKEN"), "{written:?}");
        let ready = reader.admin("/readyz?verbose");
        assert!(ready.status == 503 && ready.body.contains("the chain is broken"), "{ready:?}");
        assert!(reader.admin("/metrics").body.contains("memory_following_chain_broken{engine=\"\"} 1"));
    };
    check(&reader);
    eventually("it is said", || {
        reader.said().contains("the chain is broken") && reader.said().contains(reason)
    });
    assert!(reader.terminate().success());
    let before = lines(data);
    let reader = reader_of(data, admin, admin, &[]);
    check(&reader);
    assert!(reader.terminate().success());
    assert!(lines(data) == before, "a broken copy is not continued");
}

#[test]
fn lines_that_were_changed_on_the_way_break_the_chain() {
    let (writer, data) = with_events();
    for fault in [Fault::Flip, Fault::Swap, Fault::Repeat, Fault::Omit] {
        let proxy = Proxy::before(writer.admin);
        proxy.set(fault);
        let copy = tempfile::tempdir().unwrap();
        let reader = reader_of(copy.path(), &proxy.url(), &url(writer.api), &[]);
        assert_broken(copy.path(), reader, "line", &proxy.url());
        assert_eq!(proxy.changed(), 1, "{fault:?}: it was not asked again");
        assert!(
            lines(data.path()).starts_with(&lines(copy.path())),
            "{fault:?}: nothing else got into the copy"
        );
    }
}

#[test]
fn answers_that_are_cut_or_late_cost_only_time() {
    let (writer, data) = with_events();
    let late = Duration::from_millis(700);
    for fault in [Fault::Cut, Fault::Short, Fault::Delay(late)] {
        let proxy = Proxy::before(writer.admin);
        proxy.set(fault);
        let copy = tempfile::tempdir().unwrap();
        let reader = reader_of(copy.path(), &proxy.url(), &url(writer.api), &[]);
        eventually("the proxy has changed an answer", || proxy.changed() > 0);
        let health = reader.health();
        assert_eq!(health["following"]["broken"], json!(null), "{fault:?}: {health}");
        proxy.set(Fault::None);
        caught_up(&writer, &reader);
        eventually("ready", || reader.admin("/readyz").status == 200);
        assert_eq!(reader.total("q=fact"), EVENTS as u64, "{fault:?}");
        assert!(reader.terminate().success());
        assert!(lines(copy.path()) == lines(data.path()), "{fault:?}");
    }
}

/// Starts a reader, lets it catch up, and then leads it to another engine.
fn led_to(writer: &Running, other: SocketAddr) -> (TempDir, Running, Proxy) {
    let proxy = Proxy::before(writer.admin);
    let copy = tempfile::tempdir().unwrap();
    let reader = reader_of(copy.path(), &proxy.url(), &url(writer.api), &[]);
    caught_up(writer, &reader);
    proxy.lead_to(other);
    (copy, reader, proxy)
}

#[test]
fn another_log_breaks_the_chain() {
    let ((writer, _data), (other, _other_data)) = (with_events(), with_events());
    let (copy, reader, proxy) = led_to(&writer, other.admin);
    assert_broken(copy.path(), reader, "other_log", &proxy.url());
}

/// Copies the log of an engine as a backup of its volume does.
fn backed_up(data: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for part in ["log", "keys"] {
        fs::create_dir_all(copy.path().join(part)).unwrap();
        for entry in fs::read_dir(data.join(part)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.path().join(part).join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

#[test]
fn a_writer_that_was_rolled_back_breaks_the_chain_and_so_does_a_fork() {
    let (writer, data) = with_events();
    let old = backed_up(data.path());
    (0..5).for_each(|n| assert_eq!(writer.save(&format!("a later fact {n}")).status, 201));
    let rolled_back = Running::start(old.path());
    let (copy, reader, proxy) = led_to(&writer, rolled_back.admin);
    assert_broken(copy.path(), reader, "rolled_back", &proxy.url());

    // The writer that was rolled back goes on, beyond what the reader has.
    (0..9).for_each(|n| assert_eq!(rolled_back.save(&format!("another fact {n}")).status, 201));
    let (copy, reader, proxy) = led_to(&writer, rolled_back.admin);
    assert_broken(copy.path(), reader, "forked", &proxy.url());
}

#[test]
fn a_copy_that_was_changed_on_its_volume_is_not_read() {
    let (writer, _data) = with_events();
    let copy = tempfile::tempdir().unwrap();
    let reader = reader_of(copy.path(), &url(writer.admin), &url(writer.api), &[]);
    caught_up(&writer, &reader);
    reader.kill();
    // Without its checkpoint the copy is read from the first line.
    fs::remove_file(copy.path().join("log/checkpoint")).unwrap_or_default();
    let mut bytes = fs::read(segment(copy.path())).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(segment(copy.path()), bytes).unwrap();
    let reader = reader_of(copy.path(), &url(writer.admin), &url(writer.api), &[]);
    assert_broken(copy.path(), reader, "damaged", &url(writer.admin));
}

#[test]
fn a_reader_that_is_too_far_behind_is_not_ready_and_says_so() {
    let (writer, data) = with_events();
    let (admin, api) = (Proxy::before(writer.admin), Proxy::before(writer.api));
    let copy = tempfile::tempdir().unwrap();
    // Before the first answer nobody knows how far the copy is behind.
    admin.lead_to("127.0.0.1:1".parse().unwrap());
    let reader = reader_of(copy.path(), &admin.url(), &api.url(), &["--follow-lag-max", "3"]);
    eventually("it has tried", || reader.health()["following"]["state"] == "unreachable");
    assert_eq!(reader.admin("/readyz").status, 503);
    assert_eq!(reader.health()["following"]["lag_seconds"], json!(null));
    admin.lead_to(writer.admin);
    eventually("ready", || reader.admin("/readyz").status == 200);
    caught_up(&writer, &reader);

    assert!(writer.terminate().success());
    eventually("it is behind", || {
        reader.admin("/readyz?verbose").body.contains("further behind the engine that is followed")
    });
    assert!(reader.health()["following"]["lag_seconds"].as_u64() >= Some(3));
    assert_eq!(reader.total("q=fact"), EVENTS as u64, "what it has is served to whoever asks");
    let refused = reader.save("The kettle is blue");
    assert_eq!((refused.status, refused.code().as_str()), (503, "WRITER_UNREACHABLE"), "{refused:?}");
    assert!(refused.has_header("retry-after: 5"), "{refused:?}");

    let writer = Running::start(data.path());
    admin.lead_to(writer.admin);
    api.lead_to(writer.api);
    eventually("ready again", || reader.admin("/readyz").status == 200);
    assert_eq!(reader.save("The kettle is blue").status, 201);
}

/// The copy ends with a compressed segment only if what followed it is gone.
#[test]
fn a_copy_that_lost_its_last_segment_is_damaged() {
    let (writer, _data) = with_events();
    let copy = tempfile::tempdir().unwrap();
    let start = || reader_of(copy.path(), &url(writer.admin), &url(writer.api), &[]);
    let reader = start();
    caught_up(&writer, &reader);
    assert_eq!(writer.admin_post("/rotate", "").status, 200);
    assert_eq!(writer.save("a last fact").status, 201);
    let files = || -> Vec<_> {
        let all = fs::read_dir(copy.path().join("log")).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.to_string_lossy().contains(".jsonl")).collect()
    };
    let is_raw = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "jsonl");
    eventually("a segment is compressed", || files().len() == 2 && files().iter().any(|path| !is_raw(path)));
    caught_up(&writer, &reader);
    assert!(reader.terminate().success());
    files().iter().filter(|path| is_raw(path)).for_each(|path| fs::remove_file(path).unwrap());
    assert_broken(copy.path(), start(), "damaged", &url(writer.admin));
}

#[test]
fn a_reader_needs_the_url_of_a_port() {
    for (arguments, said) in [
        (["--follow", "notes:8081"], "is not the URL of a port"),
        (["--follow", "http://notes:8081/x"], "is not the URL of a port"),
        (["--forward", "http://notes:8080"], "--follow"),
        (["--follow", "http://somebody:a-word@notes:8081"], "--follow-token-file"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let output = crate::process::binary()
            .args(
                ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]
                    .map(OsStr::new),
            )
            .arg(data.path())
            .args(arguments)
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
    }
}
