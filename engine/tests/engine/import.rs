//! Import of Zaxy logs: each event is imported once, whatever happens during the import, and verified on both sides.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::thread;

use engine_core::digest::Hash;
use serde_json::{Value, json};

use crate::process::{Running, binary, eventually, segment};

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("core/tests/fixtures/zaxy")
}

/// Runs an import to its end. Returns the exit code and the report.
pub(crate) fn import<A: AsRef<OsStr>>(arguments: &[A]) -> (i32, Value) {
    let Output { status, stdout, stderr } = binary().args(["import"]).args(arguments).output().unwrap();
    let report = serde_json::from_slice(&stdout).unwrap_or_default();
    (status.code().unwrap_or_else(|| panic!("killed: {}", String::from_utf8_lossy(&stderr))), report)
}

fn into_data(from: &Path, data: &Path) -> (i32, Value) {
    import(&["zaxy", "--from", from.to_str().unwrap(), "--data", data.to_str().unwrap()])
}

fn into_engine(from: &Path, engine: &Running, more: &[&str]) -> (i32, Value) {
    let url = format!("http://{}", engine.api);
    import(&[&["zaxy", "--from", from.to_str().unwrap(), "--to", &url], more].concat())
}

/// Returns all events of an engine, read page by page.
pub(crate) fn events(engine: &Running) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    loop {
        let page = engine.get(&format!("/v1/events?after={}&limit=1000", found.len())).json();
        let events = page["events"].as_array().unwrap();
        if events.is_empty() {
            return found;
        }
        found.extend(events.iter().cloned());
    }
}

/// Sequence numbers that the imported events have in the source log, in the order of the engine's log.
fn imported_seqs(engine: &Running) -> Vec<u64> {
    let imported = events(engine).into_iter().filter(|event| event["type"] != "memory.saved");
    imported.map(|event| event["payload"]["source"]["seq"].as_u64().unwrap()).collect()
}

/// Writes a log in the legacy format with valid hashes, as fast as possible.
struct Writer<W> {
    out: W,
    seq: u64,
    prev: Option<Hash>,
}

impl<W: Write> Writer<W> {
    fn new(out: W) -> Writer<W> {
        Writer { out, seq: 0, prev: None }
    }

    fn append(&mut self, content: &str) -> usize {
        self.seq += 1;
        let prev = self.prev.map_or("null".to_owned(), |hash| format!("\"{hash}\""));
        let sealed = format!(
            r#"{{"actor":"user","payload":{{"content":"{content}"}},"prev_hash":{prev},"seq":{},"thread":"t","timestamp":"2026-01-02T03:04:05Z","type":"note.taken""#,
            self.seq
        );
        let hash = Hash::of(format!("{sealed}}}").as_bytes());
        let line = format!("{sealed},\"hash\":\"{hash}\"}}\n");
        self.out.write_all(line.as_bytes()).unwrap();
        self.prev = Some(hash);
        line.len()
    }
}

fn written(path: &Path, events: u64) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for n in 1..=events {
        writer.append(&format!("note {n}"));
    }
    fs::write(path, &writer.out).unwrap();
    writer.out
}

#[test]
fn everything_the_package_wrote_is_imported_once() {
    let data = tempfile::tempdir().unwrap();
    let (code, report) = into_data(&fixtures(), data.path());
    assert_eq!(code, 0, "{report:#}");
    assert_eq!((&report["ok"], &report["totals"]["logs"]), (&json!(true), &json!(10)));
    let verified = report["totals"]["verified"].as_u64().unwrap();
    // `golden` and the first events of `switched` are the same log with two different ends.
    let golden = log_report(&report, "golden");
    assert_eq!(golden["imported"], 3);
    assert_eq!(golden["head"]["hash"], "085ad0614ba3788d899114b84a34af83f812f9ce17702f23be6706018ccf591b");
    assert_eq!(
        (&golden["proof"]["ok"], &golden["proof"]["head_hash"]),
        (&json!(true), &log_report(&report, "switched")["head"]["hash"])
    );
    assert_eq!(log_report(&report, "switched")["already_there"], 3);
    assert_eq!(log_report(&report, "long_names")["changed"], json!({"actor": 1, "session": 1, "type": 1}));
    assert_eq!(log_report(&report, "forgettable")["encrypted"], 1);
    assert!(report["completeness"].as_str().unwrap().contains("cannot be proven complete"));
    assert!(report["skipped"].as_array().unwrap().len() >= 8, "{report:#}");

    let (code, again) = into_data(&fixtures(), data.path());
    assert_eq!(
        (code, &again["totals"]["imported"], &again["totals"]["already_there"]),
        (0, &json!(0), &json!(verified))
    );
    assert_eq!(again["target"], report["target"], "the second run wrote nothing");

    let (code, proof) = import(&["verify", "--data", data.path().to_str().unwrap()]);
    assert_eq!((code, &proof["ok"], proof["logs"].as_array().unwrap().len()), (0, &json!(true), 9));
    let engine = Running::start(data.path());
    assert_eq!(engine.total("q=café"), 1 + 1, "of `golden` and of `legacy_0_1_0`");
}

fn log_report<'a>(report: &'a Value, log: &str) -> &'a Value {
    report["logs"].as_array().unwrap().iter().find(|found| found["log"] == log).unwrap()
}

/// A log that grows is imported in parts, through the API or directly into the data directory.
#[test]
fn a_log_that_has_grown_is_gone_on_with() {
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = logs.path().join("notes.jsonl");
    let whole = written(&log, 2500);
    let ends: Vec<usize> = (0..whole.len()).filter(|i| whole[*i] == b'\n').map(|i| i + 1).collect();
    fs::write(&log, &whole[..ends[699]]).unwrap();
    let (code, report) = into_data(&log, data.path());
    assert_eq!((code, &report["totals"]["imported"]), (0, &json!(700)));
    let engine = Running::start(data.path());
    fs::write(&log, &whole[..ends[1999]]).unwrap();
    let (code, report) = into_engine(&log, &engine, &[]);
    assert_eq!(
        (code, &report["totals"]["imported"], &report["totals"]["already_there"]),
        (0, &json!(1300), &json!(700))
    );
    // The end of the source is missing. Zaxy's own rules do not reveal this, but the comparison with the imported
    // events does.
    fs::write(&log, &whole[..ends[1499]]).unwrap();
    let (code, report) = into_engine(&log, &engine, &[]);
    assert_eq!((code, &report["logs"][0]["refused"][0]["reason"]), (1, &json!("source_shorter")));
    fs::write(&log, &whole).unwrap();
    let (code, report) = into_engine(&log, &engine, &[]);
    assert_eq!((code, &report["totals"]["imported"]), (0, &json!(500)));
    assert_eq!(imported_seqs(&engine), (1..=2500).collect::<Vec<u64>>());
    assert_eq!(engine.total("q=note"), 2500, "each event's memory, once");
    assert_eq!(report["logs"][0]["proof"]["events"], 2500);
    // An import into another project is independent of the first.
    let (code, report) = into_engine(&log, &engine, &["--project", "other"]);
    assert_eq!((code, &report["totals"]["imported"]), (0, &json!(2500)));
}

/// Starts an import and returns it while it runs, so that the caller can kill it.
fn spawned(log: &Path, place: &[&str]) -> Child {
    binary()
        .args(["import", "zaxy", "--from", log.to_str().unwrap()])
        .args(place)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills an import while it writes to a running engine. With `engine_first`, kills the engine before the import.
fn kill_to_engine(data: &Path, log: &Path, more: u64, engine_first: bool) -> bool {
    let engine = Running::start(data);
    let seq = || engine.get("/v1/log/head").json()["seq"].as_u64().unwrap();
    let before = seq();
    let mut child = spawned(log, &["--to", &format!("http://{}", engine.api)]);
    eventually("it writes", || seq() > before + more || child.try_wait().unwrap().is_some());
    if !engine_first {
        child.kill().unwrap();
    }
    engine.kill();
    ended_early(child)
}

/// Kills an import that writes directly to the data directory.
fn kill_alone(data: &Path, log: &Path, more: u64) -> bool {
    let size = || fs::metadata(segment(data)).map_or(0, |file| file.len());
    let before = size();
    let mut child = spawned(log, &["--data", data.to_str().unwrap()]);
    eventually("it writes", || size() > before + 500 * more || child.try_wait().unwrap().is_some());
    ended_early(child)
}

fn ended_early(mut child: Child) -> bool {
    let _gone = child.kill();
    !child.wait().unwrap().success()
}

/// The import and the engine are killed repeatedly; afterwards the import runs to the end.
#[test]
fn kills_in_the_middle_lose_nothing_and_double_nothing() {
    const EVENTS: u64 = 8000;
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (data, log) = (data.path(), logs.path().join("notes.jsonl"));
    written(&log, EVENTS);
    // The counts are odd, so that kills happen between memories, and between memories and their events.
    let early = [
        kill_to_engine(data, &log, 150, false),
        kill_alone(data, &log, 333),
        kill_to_engine(data, &log, 777, true),
        kill_alone(data, &log, 1111),
        kill_to_engine(data, &log, 1501, false),
        kill_alone(data, &log, 1999),
    ];
    let early = early.iter().filter(|early| **early).count();
    assert!(early >= 4, "only {early} imports were cut short: this proves little");
    let (code, report) = into_data(&log, data);
    assert_eq!(code, 0, "{report:#}");
    let engine = Running::start(data);
    assert_eq!(imported_seqs(&engine), (1..=EVENTS).collect::<Vec<u64>>());
    assert_eq!(engine.total("q=note"), EVENTS);
    assert_eq!(report["logs"][0]["proof"]["events"], EVENTS);
}

/// If an import cannot finish, its report says so and lists what was done.
#[test]
fn an_engine_that_stays_away_ends_the_import_with_a_report() {
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = logs.path().join("notes.jsonl");
    written(&log, 20_000);
    let engine = Running::start(data.path());
    let seq = || engine.get("/v1/log/head").json()["seq"].as_u64().unwrap();
    let report = logs.path().join("report.json");
    let url = format!("http://{}", engine.api);
    let mut child = spawned(&log, &["--to", &url, "--patience", "1", "--report", report.to_str().unwrap()]);
    eventually("it writes", || seq() > 2500);
    engine.kill();
    let mut code = None;
    eventually("it stops", || {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert_eq!((code.unwrap().code(), &report["ok"]), (Some(2), &json!(false)));
    assert!(report["unfinished"].as_str().unwrap().contains("no success in 1s"), "{report:#}");
    assert!(report["totals"]["imported"].as_u64().unwrap() >= 1000, "{report:#}");
}

/// Two imports of one log run at the same time: the second treats what the first has written as present.
#[test]
fn two_imports_at_once_are_one() {
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = logs.path().join("notes.jsonl");
    written(&log, 3000);
    let engine = Running::start(data.path());
    thread::scope(|scope| {
        let importing = || into_engine(&log, &engine, &[]).0;
        let others = [scope.spawn(importing), scope.spawn(importing)];
        for other in others {
            assert_eq!(other.join().unwrap(), 0);
        }
    });
    assert_eq!(imported_seqs(&engine), (1..=3000).collect::<Vec<u64>>());
    assert_eq!(engine.total("q=note"), 3000);
}

#[test]
fn a_broken_line_ends_the_import_of_its_log() {
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = logs.path().join("a.jsonl");
    let whole = String::from_utf8(written(&log, 10)).unwrap();
    written(&logs.path().join("b.jsonl"), 10);
    fs::write(&log, whole.replace("\"note 5\"", "\"note V\"")).unwrap();
    let engine = Running::start(data.path());
    let (code, report) = into_engine(logs.path(), &engine, &["--dry-run"]);
    assert_eq!((code, &report["logs"][0]["refused"][0]["reason"]), (1, &json!("hash")));
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 0, "a dry run writes nothing");
    let (code, report) = into_engine(logs.path(), &engine, &[]);
    let broken = &report["logs"][0];
    let byte = whole.lines().take(4).map(|line| line.len() + 1).sum::<usize>();
    assert_eq!((code, &report["ok"]), (1, &json!(false)));
    let refused = &broken["refused"][0];
    assert_eq!(
        (&refused["line"], &refused["byte"], &refused["reason"]),
        (&json!(5), &json!(byte), &json!("hash"))
    );
    assert_eq!(broken["not_read"], json!({"byte": byte, "bytes": whole.len() - byte}));
    assert_eq!(
        (&broken["imported"], &report["logs"][1]["imported"]),
        (&json!(4), &json!(6)),
        "`b` continues where `a` ended"
    );

    let other = tempfile::tempdir().unwrap();
    let engine = Running::start(other.path());
    let (code, report) = into_engine(&log, &engine, &["--keep-going"]);
    assert_eq!(
        (code, &report["logs"][0]["imported"], &report["logs"][0]["after_gaps"]),
        (1, &json!(9), &json!(1))
    );
    assert_eq!(
        (&report["logs"][0]["proof"]["ok"], &report["logs"][0]["proof"]["gaps"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(imported_seqs(&engine), [1, 2, 3, 4, 6, 7, 8, 9, 10]);
    // The source is repaired later: every run still reports that the event is missing.
    fs::write(&log, &whole).unwrap();
    let (code, report) = into_engine(&log, &engine, &[]);
    let found = &report["logs"][0];
    assert_eq!((code, &found["imported"], &found["already_there"]), (1, &json!(0), &json!(9)));
    assert_eq!(
        (&found["refused"][0]["reason"], &found["refused"][0]["line"]),
        (&json!("left_out"), &json!(5))
    );
}

/// Zaxy itself can no longer open such a log.
#[test]
fn a_torn_log_is_imported_up_to_the_tear() {
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("a.jsonl");
    let whole = written(&log, 10);
    for (tail, torn) in [(&whole[..40], 40), (&[0; 512][..], 512)] {
        let data = tempfile::tempdir().unwrap();
        fs::write(&log, [&whole, tail].concat()).unwrap();
        let (code, report) = into_data(&log, data.path());
        let found = &report["logs"][0];
        assert_eq!(
            (code, &found["imported"], &found["refused"][0]["reason"]),
            (1, &json!(10), &json!("torn"))
        );
        assert_eq!(found["not_read"], json!({"byte": whole.len(), "bytes": torn}));
    }
    // Only the line feed is missing: the event is complete, as its hash proves.
    let data = tempfile::tempdir().unwrap();
    fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    let (code, report) = into_data(&log, data.path());
    assert_eq!(
        (code, &report["logs"][0]["imported"], &report["logs"][0]["unterminated"]),
        (0, &json!(10), &json!(true))
    );
}

/// Two logs have the same beginning and different continuations: the second is not merged into the first.
#[test]
fn a_fork_is_refused() {
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    written(&logs.path().join("a.jsonl"), 10);
    let mut fork = Writer::new(Vec::new());
    for n in 1..=20 {
        fork.append(&format!("note {}", if n > 5 { n + 100 } else { n }));
    }
    fs::write(logs.path().join("b.jsonl"), fork.out).unwrap();
    let (code, report) = into_data(logs.path(), data.path());
    let found = log_report(&report, "b");
    assert_eq!((code, &found["imported"]), (1, &json!(0)));
    assert_eq!(
        (&found["refused"][0]["reason"], &found["refused"][0]["line"]),
        (&json!("diverged"), &json!(10))
    );
}

/// A client with permission to write events can write events that look imported; they do not verify.
#[test]
fn a_forged_import_is_found() {
    let (data, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = logs.path().join("a.jsonl");
    let whole = String::from_utf8(written(&log, 5)).unwrap();
    let engine = Running::start(data.path());
    assert_eq!(into_engine(&log, &engine, &[]).0, 0);
    let url = format!("http://{}", engine.api);
    assert_eq!(import(&["verify", "--to", &url]).0, 0);
    let last = events(&engine).pop().unwrap();
    let mut source = last["payload"]["source"].clone();
    source["seq"] = json!(6);
    let record: Value =
        serde_json::from_str(&whole.lines().last().unwrap().replace("\"seq\":5", "\"seq\":6")).unwrap();
    let forged =
        json!({"events": [{"type": "zaxy.note.taken", "payload": {"source": source, "record": record}}]});
    assert_eq!(engine.post("/v1/events", "", &forged.to_string()).status, 201);
    let (code, proof) = import(&["verify", "--to", &url]);
    assert_eq!((code, &proof["logs"][0]["breaches"][0]["reason"]), (1, &json!("hash")));
}

#[test]
fn what_cannot_be_done_is_said_and_not_half_done() {
    let data = tempfile::tempdir().unwrap();
    let from = fixtures();
    let from = from.to_str().unwrap();
    let data = data.path().to_str().unwrap();
    for arguments in [
        vec!["zaxy", "--from", "/nowhere", "--data", data],
        vec!["zaxy", "--from", from],
        vec!["zaxy", "--from", from, "--to", "ftp://x"],
        vec!["zaxy", "--from", from, "--to", "http://x", "--data", data],
        vec!["zaxy", "--from", from, "--data", data, "--project", "a\nb"],
    ] {
        assert_eq!(import(&arguments).0, 2, "{arguments:?}");
    }
}

/// The log is generated while it is read, and is many times larger than the memory of the import.
#[test]
fn a_large_log_needs_little_memory() {
    const BYTES: usize = 48 << 20;
    let place = tempfile::tempdir().unwrap();
    let fifo = place.path().join("endless.jsonl");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut child = binary()
        .args(["import", "zaxy", "--dry-run", "--from", fifo.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut writer = Writer::new(BufWriter::new(fs::File::options().write(true).open(&fifo).unwrap()));
    let content = "x".repeat(3000);
    let (mut given, mut first, mut peak) = (0, 0, 0);
    while given < BYTES {
        given += writer.append(&content);
        if writer.seq.is_multiple_of(1000) {
            peak = peak.max(peak_kib(child.id()));
            // The first measurement is the memory of the program itself and of its start.
            first = if first == 0 { peak } else { first };
        }
    }
    let events = writer.seq;
    drop(writer);
    let report: Value = serde_json::from_reader(child.stdout.take().unwrap()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(report["logs"][0]["verified"], events);
    assert!(first > 0 && peak - first < 8 << 10, "{first} to {peak} KiB for {given} bytes");
}

fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
}
