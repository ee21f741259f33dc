//! Engines that are killed or stopped, and logs that are torn or damaged.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Client, Running, binary, eventually, segment, verify};

const CLIENTS: usize = 8;
const KILLS: usize = 20;

/// State of one client: the acknowledged numbers, and the request that has no response yet.
struct Writer {
    client: usize,
    next: usize,
    acknowledged: Vec<usize>,
}

impl Writer {
    /// Saves memories until the engine is gone. A request without a response is repeated with the same key.
    fn write(&mut self, engine: &Running, stop: &AtomicBool) {
        let Ok(mut connection) = Client::connect(engine.api) else { return };
        while !stop.load(Ordering::Acquire) {
            let (client, n) = (self.client, self.next);
            let body = json!({"content": format!("client{client}n{n}"), "project": "load"}).to_string();
            let key = format!("idempotency-key: {client}/{n}\r\n");
            match connection.request("POST", "/v1/memories", &key, &body) {
                Ok(answer) if matches!(answer.status, 200 | 201) => {
                    self.acknowledged.push(n);
                    self.next += 1;
                }
                Ok(answer) => panic!("refused: {answer:?}"),
                Err(_) => return,
            }
        }
    }
}

#[test]
fn a_kill_under_load_loses_nothing_and_doubles_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut writers: Vec<Writer> =
        (0..CLIENTS).map(|client| Writer { client, next: 0, acknowledged: Vec::new() }).collect();
    for round in 0..=KILLS {
        let engine = Running::start(data.path());
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for writer in &mut writers {
                scope.spawn(|| writer.write(&engine, &stop));
            }
            sleep(Duration::from_millis(80 + 23 * (round as u64 % 8)));
            if round < KILLS {
                let pid = i32::try_from(engine.pid()).unwrap();
                let pid = rustix::process::Pid::from_raw(pid).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            } else {
                stop.store(true, Ordering::Release);
            }
        });
        drop(engine);
    }
    let engine = Running::start(data.path());
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = engine.get(&format!("/v1/events?after={}&limit=1000", found.len())).json();
        let events = page["events"].as_array().unwrap();
        found.extend(events.iter().map(|event| event["payload"]["content"].as_str().unwrap().to_owned()));
        if events.is_empty() {
            break;
        }
    }
    let saved = found.len();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), saved, "doubled");
    let acknowledged: usize = writers.iter().map(|writer| writer.acknowledged.len()).sum();
    for writer in &writers {
        for n in &writer.acknowledged {
            let content = format!("client{}n{n}", writer.client);
            assert!(found.binary_search(&content).is_ok(), "{content} was acknowledged and is lost");
        }
    }
    assert!(acknowledged > 100, "only {acknowledged} memories: this proves little");
    assert_eq!(engine.total("project=load"), saved as u64);
    let (code, report) = verify(data.path());
    assert_eq!((code, &report["events"]), (Some(0), &json!(saved)));
    println!("{KILLS} kills, {acknowledged} acknowledged, {saved} saved, 0 lost, 0 doubled");
}

fn filled(data: &std::path::Path) -> Value {
    let engine = Running::start(data);
    for n in 0..5 {
        engine.save(&format!("memory number {n}"));
    }
    let batch =
        r#"{"events":[{"type":"a","payload":{}},{"type":"b","payload":{}},{"type":"c","payload":{}}]}"#;
    assert_eq!(engine.post("/v1/events", "", batch).status, 201);
    let head = engine.get("/v1/log/head").json();
    assert!(engine.terminate().success());
    head
}

#[test]
fn a_torn_tail_is_set_aside() {
    let data = tempfile::tempdir().unwrap();
    let head = filled(data.path());
    let whole = fs::read(segment(data.path())).unwrap();
    let half_a_line = br#"{"event":{"seq":9,"id":"01"#.to_vec();
    for tail in [half_a_line, vec![0; 5000], vec![b'{'; 3]] {
        fs::write(segment(data.path()), [whole.as_slice(), &tail].concat()).unwrap();
        let (code, report) = verify(data.path());
        assert_eq!((code, &report["torn_bytes"]), (Some(0), &json!(tail.len())));
        let engine = Running::start(data.path());
        assert_eq!(engine.get("/v1/log/head").json(), head);
        assert_eq!(engine.health()["log"]["recovered_torn_bytes"], tail.len());
        assert!(engine.terminate().success());
        assert_eq!(fs::read(segment(data.path())).unwrap(), whole);
    }
    let aside = fs::read_dir(data.path().join("log/torn")).unwrap().count();
    assert_eq!(aside, 3);
}

/// Two thirds of a batch on the disk count as nothing, because the batch was never acknowledged.
#[test]
fn a_torn_batch_is_no_batch() {
    let data = tempfile::tempdir().unwrap();
    filled(data.path());
    let whole = fs::read(segment(data.path())).unwrap();
    let last_line = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(segment(data.path()), &whole[..last_line]).unwrap();
    // A crash in the middle of a batch happens before a checkpoint covers it.
    fs::remove_file(data.path().join("log/checkpoint")).unwrap();
    let engine = Running::start(data.path());
    assert_eq!(engine.get("/v1/log/head").json()["seq"], 5);
    assert_eq!(engine.health()["projection"]["applied_seq"], 5, "the projection forgot what the log lost");
    assert_eq!(engine.save("after").json()["seq"], 6);
    drop(engine);
    assert_eq!(verify(data.path()).0, Some(0));
}

#[test]
fn an_empty_or_zeroed_segment_is_a_log_that_never_began() {
    for bytes in [Vec::new(), vec![0; 4096]] {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("log")).unwrap();
        fs::write(segment(data.path()), bytes).unwrap();
        let engine = Running::start(data.path());
        assert_eq!(engine.save("first").json()["seq"], 1);
    }
}

#[test]
fn damage_in_the_middle_stops_the_writing_and_says_where() {
    let data = tempfile::tempdir().unwrap();
    filled(data.path());
    let mut file = OpenOptions::new().read(true).write(true).open(segment(data.path())).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let at = bytes.windows(8).position(|window| window == b"number 2").unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(b"numbeR 2").unwrap();
    let damaged = fs::read(segment(data.path())).unwrap();

    let (code, report) = verify(data.path());
    assert_eq!(code, Some(1));
    assert_eq!((&report["ok"], &report["first_broken_seq"]), (&json!(false), &json!(3)));
    assert_eq!((&report["reason"], &report["line"]), (&json!("commitment"), &json!(4)));
    assert_eq!(report["segment"], "00000000000000000001.jsonl");

    let engine = Running::spawn(data.path());
    eventually("it says so", || engine.health()["storage"]["reason"] == "log_corrupt");
    eventually("what verifies is served", || engine.admin("/readyz").status == 200);
    assert_eq!(engine.admin("/livez").status, 200);
    assert_eq!((engine.save("x").status, engine.save("x").code()), (503, "LOG_CORRUPT".to_owned()));
    assert_eq!(engine.total("q=memory"), 2, "the two before the breach");
    assert_eq!(engine.get("/v1/events?after=0").json()["events"].as_array().unwrap().len(), 2);
    let behind = engine.get("/v1/events?after=2");
    assert_eq!((behind.status, behind.code().as_str()), (503, "LOG_CORRUPT"));
    assert_eq!(engine.get("/v1/log/proof/3").code(), "LOG_CORRUPT");
    let health = engine.health();
    assert_eq!(
        (&health["status"], &health["storage"]["reason"]),
        (&json!("degraded"), &json!("log_corrupt"))
    );
    let fault = &health["log"]["integrity"]["fault"];
    assert_eq!((&fault["kind"], &fault["seq"], &fault["line"]), (&json!("corrupt"), &json!(3), &json!(4)));
    assert!(engine.terminate().success());
    assert_eq!(fs::read(segment(data.path())).unwrap(), damaged, "not one byte was changed");
}

#[test]
fn a_request_that_has_begun_is_answered_before_the_end() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = Running::start(data.path());
    let mut idle = engine.connect();
    let mut late = engine.connect();
    let body = r#"{"content":"the last words"}"#;
    late.raw(
        format!("POST /v1/memories HTTP/1.1\r\nhost: e\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(),
    )
    .unwrap();
    sleep(Duration::from_millis(100));
    engine.send_terminate();
    sleep(Duration::from_millis(200));
    late.raw(body.as_bytes()).unwrap();
    assert_eq!(late.answer().unwrap().status, 201);
    assert!(idle.answer().is_err(), "an idle connection is closed");
    assert!(engine.wait().success());
    let engine = Running::start(data.path());
    assert_eq!(engine.total("q=last+words"), 1);
}

#[test]
fn a_client_that_never_finishes_does_not_hold_up_the_stop() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    fs::write(&config, "shutdown: {drainSeconds: 1}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    let mut slow = engine.connect();
    slow.raw(b"POST /v1/memories HTTP/1.1\r\nhost: e\r\ncontent-length: 10\r\n\r\n{").unwrap();
    sleep(Duration::from_millis(100));
    let started = std::time::Instant::now();
    assert!(engine.terminate().success());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_second_process_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    engine.save("x");
    for command in ["serve", "rebuild"] {
        let mut second = binary();
        second.arg(command).arg("--data").arg(data.path());
        if command == "serve" {
            second.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        }
        let refused = second.output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("another process has the log"), "{said}");
    }
    assert_eq!(verify(data.path()).0, Some(0), "verify works beside a running engine");
    assert_eq!(engine.save("y").status, 201);
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(verify(nothing.path()).0, Some(2), "no log is not a verified log");
}
