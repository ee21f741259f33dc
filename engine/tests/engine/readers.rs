//! A reader: it has a copy of the log of a writer, serves reads from it, and forwards writes.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::forgetting::{compressed, holding};
use crate::mcp;
use crate::process::{Answer, JSON, Running, binary, eventually, verify};
use crate::reader_proxy::Proxy;

/// Starts a reader of the engine behind these URLs.
pub(crate) fn reader_of(data: &Path, admin: &str, api: &str, more: &[&str]) -> Running {
    let follow = ["--follow", admin, "--forward", api];
    let arguments: Vec<&OsStr> = follow.iter().chain(more).map(OsStr::new).collect();
    Running::spawn_with(data, &arguments)
}

pub(crate) fn url(address: std::net::SocketAddr) -> String {
    format!("http://{address}")
}

/// A writer and a reader of it.
struct Pair {
    writer: Running,
    reader: Running,
    writer_data: TempDir,
    reader_data: TempDir,
}

impl Pair {
    fn start() -> Pair {
        let (writer_data, reader_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let writer = Running::start(writer_data.path());
        let reader = reader_of(reader_data.path(), &url(writer.admin), &url(writer.api), &[]);
        eventually("the reader is ready", || reader.admin("/readyz").status == 200);
        Pair { writer, reader, writer_data, reader_data }
    }

    /// Waits until the reader has everything, and stops both.
    fn stop(self) -> (TempDir, TempDir) {
        caught_up(&self.writer, &self.reader);
        let Pair { writer, reader, writer_data, reader_data } = self;
        assert!(reader.terminate().success() && writer.terminate().success());
        (writer_data, reader_data)
    }
}

pub(crate) fn caught_up(writer: &Running, reader: &Running) {
    let head = writer.health()["log"]["seq"].clone();
    eventually("the reader has everything", || {
        let health = reader.health();
        let segments = [writer, reader].map(|engine| sample(engine, "memory_log_segments"));
        health["log"]["seq"] == head
            && health["projection"]["applied_seq"] == head
            && segments[0] == segments[1]
    });
}

/// The value of a metric.
pub(crate) fn sample(engine: &Running, name: &str) -> String {
    let metrics = engine.admin("/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{")));
    line.and_then(|line| line.rsplit(' ').next()).expect("a sample").to_owned()
}

/// All lines of a log, decompressed.
pub(crate) fn lines(data: &Path) -> Vec<u8> {
    let mut paths: Vec<_> =
        fs::read_dir(data.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().contains(".jsonl"));
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).unwrap();
        if path.extension().is_some_and(|end| end == "zst") {
            zstd::decode_all(&bytes[..]).unwrap()
        } else {
            bytes
        }
    };
    paths.iter().flat_map(read).collect()
}

/// The digest over all rows of a stopped engine, and the event that it is of.
fn digest(data: &Path) -> (i64, Vec<u8>) {
    let files = fs::read_dir(data.join("projection")).unwrap().map(|entry| entry.unwrap().path());
    let database =
        files.filter(|path| path.extension().is_some_and(|end| end == "sqlite" || end == "db")).max();
    let connection = rusqlite::Connection::open(database.expect("a database")).unwrap();
    connection.query_row("SELECT seq, digest FROM applied", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

fn assert_same((writer, reader): &(TempDir, TempDir)) {
    assert!(lines(writer.path()) == lines(reader.path()), "the same bytes");
    assert_eq!(digest(writer.path()), digest(reader.path()), "the same rows");
    assert_eq!(verify(reader.path()).0, Some(0), "a copy verifies as a log does");
}

fn search(engine: &Running, words: &str, min_seq: &Value) -> Answer {
    engine.get(&format!("/v1/search?q={words}&mode=lexical&min_seq={min_seq}"))
}

#[test]
fn a_reader_serves_what_it_forwarded_to_the_writer() {
    let pair = Pair::start();
    let (writer, reader) = (&pair.writer, &pair.reader);
    let body = json!({"content": "The kettle is blue"}).to_string();
    let headers = "idempotency-key: one\r\nx-request-id: of-the-caller\r\n";
    let saved = reader.post("/v1/memories", headers, &body);
    assert_eq!(saved.status, 201, "{saved:?}");
    assert!(saved.has_header("x-request-id: of-the-caller"), "{saved:?}");
    let again = reader.post("/v1/memories", headers, &body);
    assert_eq!((again.status, &again.json()), (200, &saved.json()), "the key went along: {again:?}");
    assert_eq!(writer.post("/v1/memories", "idempotency-key: one\r\n", &body).status, 200);
    let found = search(reader, "kettle", &saved.json()["seq"]).json();
    assert_eq!((&found["total"], &found["items"][0]["id"]), (&json!(1), &saved.json()["id"]), "{found}");

    // Without `min_seq`: the answer to a write comes when reads of the same reader see it.
    for n in 0..20 {
        let words = format!("teaspoon{n}");
        assert_eq!(reader.save(&words).status, 201);
        assert_eq!(reader.total(&format!("q={words}")), 1, "{words}");
    }
    let by_tool = mcp::done(reader, "memory_save", &json!({"content": "The teapot is green"}));
    let seq = by_tool["seq"].clone();
    assert_eq!(search(reader, "teapot", &seq).json()["total"], 1);
    assert_eq!(mcp::done(reader, "memory_search", &json!({"q": "teapot"}))["items"][0]["seq"], seq);
    assert_eq!(writer.total("q=teapot"), 1);
    let note = reader.get("/v1/log/checkpoint");
    assert_eq!((note.status, &note.body), (200, &writer.get("/v1/log/checkpoint").body), "the writer signs");
    let put = json!({"namespace": ["a"], "key": "k", "value": {"x": 1}}).to_string();
    let put = reader.connect().request("PUT", "/v1/items", JSON, &put).unwrap();
    assert!([200, 201].contains(&put.status), "{put:?}");
    let refused = reader.post("/v1/memories", "", "{}");
    assert_eq!((refused.status, refused.code().as_str()), (400, "INVALID_ARGUMENT"), "the writer's words");
    assert_same(&pair.stop());
}

/// The tokens that stand for personal data in names are made with a key that only the writer has.
#[test]
fn a_read_that_names_personal_data_is_answered_by_the_writer() {
    let pair = Pair::start();
    let body = json!({"content": "The kettle is blue", "project": "anna@example.com"}).to_string();
    assert_eq!(pair.reader.post("/v1/memories", "", &body).status, 201);
    let found = pair.reader.get("/v1/search?q=kettle&project=anna%40example.com");
    assert_eq!((found.status, &found.json()["total"]), (200, &json!(1)), "{found:?}");
    let metrics = pair.reader.admin("/metrics").body;
    let answered = metrics.lines().find(|line| line.contains("forwarded_total") && line.contains("answered"));
    assert!(answered.is_some_and(|line| line.ends_with(" 2")), "{answered:?}");
    assert!(!pair.reader_data.path().join("keys/pseudonym.key").exists());
    assert_eq!(pair.reader.health()["status"], "ok", "nothing is lost");
}

#[test]
fn a_read_that_needs_a_later_event_waits_for_it_and_then_says_how_far_it_is() {
    let pair = Pair::start();
    let behind = search(&pair.reader, "kettle", &json!(7));
    assert_eq!((behind.status, behind.code().as_str()), (503, "PROJECTION_BEHIND"), "{behind:?}");
    let message = behind.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("applied event 0") && message.contains("event 7"), "{message}");
    // The event that is waited for arrives meanwhile.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| search(&pair.reader, "kettle", &json!(1)));
        assert_eq!(pair.writer.save("The kettle is blue").status, 201);
        assert_eq!(waiting.join().unwrap().json()["total"], 1);
    });
}

#[test]
fn a_reader_says_what_it_is_and_refuses_what_belongs_to_the_owner() {
    let pair = Pair::start();
    assert_eq!(pair.writer.save("The kettle is blue").status, 201);
    caught_up(&pair.writer, &pair.reader);
    let health = pair.reader.health();
    assert_eq!((&health["role"], &health["status"]), (&json!("reader"), &json!("ok")), "{health}");
    let following = &health["following"];
    assert_eq!((&following["state"], &following["lag_events"]), (&json!("connected"), &json!(0)), "{health}");
    assert_eq!(health["log"]["checkpoint"], Value::Null, "a reader has no key of the log");
    assert_eq!(pair.writer.health()["role"], "writer");
    let before = pair.writer.health()["log"]["seq"].clone();
    let anchor = json!({"origin": "x", "size": 1, "root": "x", "rollbacks": 0}).to_string();
    for (path, body) in [
        ("/rotate", ""),
        ("/rotate-key", ""),
        ("/anchor", anchor.as_str()),
        ("/backups", "{}"),
        ("/upkeep", "{}"),
        ("/tokens", "{}"),
        ("/tokens/revoke", "{}"),
    ] {
        let refused = pair.reader.admin_post(path, body);
        assert_eq!((refused.status, refused.code().as_str()), (503, "WRITES_OFF"), "{path}: {refused:?}");
    }
    for path in ["/checkpoint", "/log/lines"] {
        assert_eq!(pair.reader.admin(path).code(), "WRITES_OFF", "{path}");
    }
    // A mode that is forced is one of this process, and no event.
    let force =
        json!({"mode": "write_only", "reason": "a test", "by": "a person", "ttl_seconds": 60}).to_string();
    assert_eq!(pair.reader.admin_post("/mode/force", &force).status, 200);
    assert_eq!(pair.reader.get("/v1/search?q=kettle").code(), "READS_OFF");
    assert_eq!(pair.writer.get("/v1/search?q=kettle").status, 200);
    assert_eq!(pair.writer.health()["log"]["seq"], before, "nothing was written");
    let metrics = pair.reader.admin("/metrics").body;
    for sample in
        ["memory_following_connected{engine=\"\"} 1", "memory_following_chain_broken{engine=\"\"} 0"]
    {
        assert!(metrics.contains(sample), "{sample}");
    }
}

#[test]
fn a_reader_continues_its_copy_after_restarts_of_both_and_rotations_meanwhile() {
    let (writer_data, reader_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let writer = Running::start(writer_data.path());
    let (admin, api) = (Proxy::before(writer.admin), Proxy::before(writer.api));
    let start = || reader_of(reader_data.path(), &admin.url(), &api.url(), &[]);
    (0..40).for_each(|n| assert_eq!(writer.save(&format!("fact number {n}")).status, 201));
    let reader = start();
    caught_up(&writer, &reader);
    assert!(reader.terminate().success());

    // The reader is away while segments are sealed and compressed, and the writer restarts.
    for round in 0..3 {
        assert_eq!(writer.admin_post("/rotate", "").status, 200);
        (0..40).for_each(|n| assert_eq!(writer.save(&format!("fact {n} of round {round}")).status, 201));
    }
    eventually("segments are compressed", || compressed(writer_data.path()) == 3);
    assert!(writer.terminate().success());
    let writer = Running::start(writer_data.path());
    admin.lead_to(writer.admin);
    api.lead_to(writer.api);
    let reader = start();
    caught_up(&writer, &reader);
    // 120 events, and a seal and a header for each rotation: what the copy had is not asked for again.
    eventually("126 lines were asked for", || sample(&reader, "memory_following_lines_total") == "126");

    // The reader is killed, and the writer restarts while the reader runs.
    reader.kill();
    let reader = start();
    assert!(writer.terminate().success());
    let writer = Running::start(writer_data.path());
    admin.lead_to(writer.admin);
    api.lead_to(writer.api);
    assert_eq!(reader.save("saved through the reader").status, 201);
    assert_eq!(writer.admin_post("/rotate", "").status, 200);
    caught_up(&writer, &reader);
    assert!(reader.terminate().success() && writer.terminate().success());
    assert_same(&(writer_data, reader_data));
}

#[test]
fn what_is_forgotten_is_in_no_file_of_a_reader() {
    let pair = Pair::start();
    let (writer, reader) = (&pair.writer, &pair.reader);
    let save = |content: &str| writer.save(content).json()["id"].as_str().unwrap().to_owned();
    let mut ids = vec![save("xyzzyold was said in words nobody repeats")];
    (0..20).for_each(|n| drop(save(&format!("filler number {n}"))));
    assert_eq!(writer.admin_post("/rotate", "").status, 200);
    caught_up(writer, reader);
    eventually("the first segment of the copy is compressed", || compressed(pair.reader_data.path()) == 1);
    ids.push(save("xyzzynew stands in the segment that is written now"));
    caught_up(writer, reader);
    // An answer in a cache must go too.
    assert_eq!(reader.total("q=xyzzyold"), 1);
    assert!(!holding(pair.reader_data.path(), "xyzzy").is_empty(), "the search below can fail");
    let forgotten = reader.post("/v1/forget", "", &json!({"ids": ids, "reason": "a test"}).to_string());
    assert_eq!((forgotten.status, &forgotten.json()["complete"]), (200, &json!(true)), "{forgotten:?}");
    caught_up(writer, reader);
    eventually("no file of the reader has it", || holding(pair.reader_data.path(), "xyzzy").is_empty());
    for id in &ids {
        assert_eq!(reader.get(&format!("/v1/memories/{id}")).code(), "ENTRY_NOT_FOUND");
    }
    assert_eq!(reader.total("q=xyzzyold"), 0);
    eventually("the copy verifies", || reader.health()["log"]["integrity"]["verified_through"] != 0);
    assert_eq!(reader.health()["log"]["integrity"]["fault"], Value::Null);

    // A reader that comes later gets lines without their payloads, long before the event that explains that.
    let late = tempfile::tempdir().unwrap();
    let second = reader_of(late.path(), &url(writer.admin), &url(writer.api), &[]);
    caught_up(writer, &second);
    eventually("it verifies", || second.health()["log"]["integrity"]["verified_at"] != Value::Null);
    assert_eq!((&second.health()["log"]["integrity"]["fault"], second.total("q=filler")), (&Value::Null, 20));
    assert!(second.terminate().success());
    assert!(holding(late.path(), "xyzzy").is_empty());
    let (writer_data, reader_data) = pair.stop();
    assert_same(&(writer_data, late));
    assert!(holding(reader_data.path(), "xyzzy").is_empty());
}

/// Each would make two histories of one log.
#[test]
fn a_copy_is_not_written_to_and_a_log_is_not_continued_as_a_copy() {
    let pair = Pair::start();
    assert_eq!(pair.writer.save("The kettle is blue").status, 201);
    let (writer, reader) = pair.stop();
    let before = lines(reader.path());
    let start = |data: &Path, more: &[&str]| {
        let output = binary()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (ok, said) = start(reader.path(), &[]);
    assert!(!ok && said.contains("has a copy of the log of another engine"), "{said}");
    let (ok, said) = start(writer.path(), &["--follow", "http://127.0.0.1:1"]);
    assert!(!ok && said.contains("has a log of its own"), "{said}");
    let erased = binary().args(["rebuild", "--data"]).arg(reader.path()).output().unwrap();
    assert!(!erased.status.success(), "{erased:?}");
    assert_eq!(lines(reader.path()), before);
}

#[test]
fn without_an_address_for_writes_they_are_refused() {
    let (writer_data, reader_data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let writer = Running::start(writer_data.path());
    let admin = url(writer.admin);
    let reader = Running::spawn_with(reader_data.path(), &["--follow", &admin].map(OsStr::new));
    caught_up(&writer, &reader);
    let refused = reader.save("The kettle is blue");
    assert_eq!((refused.status, refused.code().as_str()), (503, "WRITES_OFF"), "{refused:?}");
    assert_eq!(writer.health()["log"]["seq"], 0);
}

/// What is not an engine that owns a log has carried out nothing, whatever it answers.
#[test]
fn a_write_is_forwarded_only_to_an_engine_that_owns_a_log() {
    let pair = Pair::start();
    let to = |api: &str| {
        let data = tempfile::tempdir().unwrap();
        let reader = reader_of(data.path(), &url(pair.writer.admin), api, &[]);
        eventually("the reader is ready", || reader.admin("/readyz").status == 200);
        let answer = reader.save("The kettle is blue");
        assert_eq!((answer.status, answer.code().as_str()), (503, "WRITER_UNREACHABLE"), "{api}: {answer:?}");
        let metrics = reader.admin("/metrics").body;
        let forwarded = metrics.lines().filter(|line| line.starts_with("memory_following_forwarded_total{"));
        let counts: Vec<&str> = forwarded.filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(counts.iter().filter(|count| **count != "0").collect::<Vec<_>>(), [&"1"], "once");
        assert!(reader.terminate().success());
    };
    // Another reader, which would forward it again.
    to(&url(pair.reader.api));
    // A server that says yes to everything.
    let service = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = service.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in service.incoming().flatten() {
            // A failure is that of the client, which then has no answer.
            let _read = stream.read(&mut [0; 4096]);
            let _written = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        }
    });
    to(&url(address));
    assert_eq!(pair.writer.total("q=kettle"), 0);
}
