//! A canary: another revision that follows the same log, and is asked what clients ask this engine.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::access::{bearer, key, write_secret};
use crate::mcp::call;
use crate::process::{Answer, Client, JSON, Running, eventually};
use crate::readers::{caught_up, reader_of, url};

/// A stable engine, a canary that follows it, and memories.
struct Both {
    stable: Running,
    canary: Running,
    data: [TempDir; 2],
}

const WORDS: [&str; 6] = ["kettle", "teapot", "saucer", "ladle", "colander", "skillet"];

pub(crate) fn fill(engine: &Running, headers: &str) {
    for (number, word) in WORDS.iter().enumerate() {
        let content = format!("The {word} of the kitchen stands on shelf number {number}");
        let body = json!({ "content": content }).to_string();
        assert_eq!(engine.post("/v1/memories", headers, &body).status, 201);
    }
}

impl Both {
    fn start(more: &[&str]) -> Both {
        let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let stable = Running::start(data[0].path());
        fill(&stable, "");
        let canary = reader_of(data[1].path(), &url(stable.admin), &url(stable.api), more);
        caught_up(&stable, &canary);
        Both { stable, canary, data }
    }

    fn grant(&self, reads: &str, weight: u8) -> Value {
        granted(&self.stable, &grant_of(&url(self.canary.api), &url(self.canary.admin), reads, weight))
    }
}

pub(crate) fn grant_of(api: &str, admin: &str, reads: &str, weight: u8) -> Value {
    json!({
        "revision": "two", "pod": "canary-uid", "api": api, "readyz": format!("{admin}/readyz"), "reads": reads,
        "weight": weight, "floor": false,
    })
}

pub(crate) fn put(engine: &Running, grant: &Value) -> Answer {
    Client::connect(engine.admin).unwrap().request("PUT", "/canary", JSON, &grant.to_string()).unwrap()
}

/// Grants, and waits until the readiness of the canary is known.
pub(crate) fn granted(engine: &Running, grant: &Value) -> Value {
    let answer = put(engine, grant);
    assert_eq!(answer.status, 200, "{answer:?}");
    eventually("the canary was looked at", || !report(engine)["ready"].is_null());
    report(engine)
}

pub(crate) fn report(engine: &Running) -> Value {
    engine.admin("/canary").json()
}

pub(crate) fn search(engine: &Running, words: &str) -> Answer {
    engine.get(&format!("/v1/search?q={words}"))
}

/// Asks all questions until there are so many pairs that clients asked.
fn ask_until_live(engine: &Running, pairs: u64) -> Value {
    let mut number = 0;
    eventually("pairs were counted", || {
        // Each time another question: at one event of the log each counts once.
        number += 1;
        let words = format!("{}+{}", WORDS[number % WORDS.len()], number);
        assert_eq!(search(engine, &words).status, 200);
        thread::sleep(Duration::from_millis(50));
        report(engine)["tally"]["quality"]["live"].as_u64() >= Some(pairs)
    });
    report(engine)
}

pub(crate) fn counts(report: &Value, metric: &str) -> (u64, u64, u64) {
    let of = |name: &str| report["tally"]["counts"][metric][name].as_u64().unwrap();
    (of("canaryOnly"), of("stableOnly"), of("pairs"))
}

#[test]
fn equal_revisions_agree_in_the_shadow() {
    let both = Both::start(&[]);
    let none = report(&both.stable);
    assert_eq!((&none["revision"], &none["reads"]), (&json!(null), &json!("off")), "{none}");
    assert_eq!(both.grant("shadow", 50)["ready"], true);
    let report = ask_until_live(&both.stable, 10);
    assert_eq!(
        (&report["revision"], &report["reads"], &report["weight"]),
        (&json!("two"), &json!("shadow"), &json!(0))
    );
    let pairs = report["tally"]["quality"]["taken"].as_u64().unwrap();
    for metric in ["error", "timeout", "fallback", "degraded"] {
        assert_eq!(counts(&report, metric), (0, 0, pairs), "{metric}: {report}");
    }
    let (canary_only, _, compared) = counts(&report, "disagreement");
    assert!(canary_only == 0 && compared >= 10, "{report}");
    // The first question may have been chosen before the canary was ready.
    let excluded = report["tally"]["quality"]["excluded"].as_u64();
    assert!(excluded.is_some_and(|excluded| excluded <= 1), "the same event: {report}");
    assert!(report["latency"]["canary_p50_ms"].is_u64(), "{report}");
    let metrics = both.stable.admin("/metrics").body;
    let reads = |by: &str| {
        let begin = format!("memory_rollout_reads_total{{answered_by=\"{by}\"");
        let line = metrics.lines().find(|line| line.starts_with(&begin));
        line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    assert_ne!(reads("stable").as_deref(), Some("0"), "{metrics}");
    assert_eq!(reads("canary").as_deref(), Some("0"), "no client was answered by it");
}

/// What agents search with tools, and what contexts are made of, are questions for both revisions. This engine answers.
#[test]
fn searches_of_tools_and_contexts_are_compared() {
    let both = Both::start(&[]);
    assert_eq!(both.grant("canary", 100)["ready"], true);
    let live = || report(&both.stable)["tally"]["quality"]["live"].as_u64();
    let mut number = 0;
    for is_tool in [true, false] {
        let before = live();
        eventually("its searches are compared", || {
            number += 1;
            let arguments = json!({"query": format!("{} {number}", WORDS[number % WORDS.len()])});
            match is_tool {
                true => drop(call(&both.stable, "memory_search", &arguments)),
                false => {
                    assert_eq!(both.stable.post("/v1/checkout", "", &arguments.to_string()).status, 200);
                }
            }
            thread::sleep(Duration::from_millis(50));
            live() >= before.map(|before| before + 5)
        });
    }
    let report = report(&both.stable);
    let (canary_only, _, compared) = counts(&report, "disagreement");
    assert!(canary_only == 0 && compared >= 10, "{report}");
}

#[test]
fn a_grant_is_checked_and_withdrawn() {
    let data = tempfile::tempdir().unwrap();
    let stable = Running::start(data.path());
    let good = grant_of("http://127.0.0.1:1", "http://127.0.0.1:1", "canary", 100);
    for (field, value) in [
        ("revision", json!("")),
        ("weight", json!(101)),
        ("api", json!("notes:8080")),
        ("api", json!("http://a:b@notes:8080")),
        ("readyz", json!("file:///x")),
        ("reads", json!("all")),
        ("more", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let refused = put(&stable, &bad);
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "INVALID_ARGUMENT"),
            "{field}: {refused:?}"
        );
    }
    let known = granted(&stable, &good);
    assert_eq!((&known["ready"], &known["weight"]), (&json!(false), &json!(0)), "{known}");
    assert!(known["fault"].as_str().unwrap().contains("refused"), "{known}");
    let ended = Client::connect(stable.admin).unwrap().request("DELETE", "/canary", "", "").unwrap();
    assert_eq!((ended.status, &ended.json()["revision"]), (200, &json!(null)), "{ended:?}");
}

#[test]
fn a_canary_answers_the_sessions_that_it_is_granted() {
    let both = Both::start(&[]);
    both.grant("canary", 100);
    eventually("it answers", || report(&both.stable)["weight"] == 100);
    let answer = search(&both.stable, "kettle");
    assert_eq!(answer.status, 200);
    assert!(answer.has_header("memory-engine-revision: two"), "{answer:?}");
    let first = answer.json()["items"][0]["snippet"].clone();
    assert!(first.as_str().unwrap().contains("kettle"), "{answer:?}");
    // A client reads its own writes, although they are in the log of the stable engine first.
    for number in 0..20 {
        let saved = both.stable.save(&format!("The tureen {number} is new"));
        assert_eq!(saved.status, 201);
        let found = search(&both.stable, &format!("tureen+{number}")).json();
        assert!(found["applied_seq"].as_u64() >= saved.json()["seq"].as_u64(), "{found}");
    }
    let refused = both.stable.get("/v1/search?q=kettle&limit=many");
    assert_eq!((refused.status, refused.has_header("memory-engine-revision")), (400, false), "{refused:?}");
    let report = ask_until_live(&both.stable, 3);
    assert_eq!(report["breaker_open"], false, "{report}");
    assert_eq!((counts(&report, "error").0, counts(&report, "fallback").0), (0, 0), "{report}");
    // The other sessions are answered here.
    both.grant("canary", 0);
    assert!(!search(&both.stable, "kettle").has_header("memory-engine-revision"));
    // Reads that are turned off are off for everybody.
    both.grant("canary", 100);
    eventually("it answers", || self::report(&both.stable)["weight"] == 100);
    assert_eq!(crate::modes::force(&both.stable, "write_only", 60).status, 200);
    let off = search(&both.stable, "kettle");
    assert_eq!(
        (off.code().as_str(), off.has_header("memory-engine-revision")),
        ("READS_OFF", false),
        "{off:?}"
    );
}

/// What a program in place of a canary does with a question.
#[derive(Clone, Copy)]
pub(crate) enum Fake {
    Fails,
    Hangs,
    Disconnects,
    Refuses,
    /// It answers that it has found nothing, as of this event.
    Forgets(u64),
}

impl Fake {
    /// Serves in threads of their own, and returns its URL.
    pub(crate) fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || self.answer(&stream));
            }
        });
        url(address)
    }

    fn answer(self, mut stream: &TcpStream) {
        let mut lines = BufReader::new(stream).lines();
        while let Some(Ok(first)) = lines.next() {
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let (status, body) = match self {
                _ if first.contains("/readyz") => ("200 OK", "ok".to_owned()),
                Fake::Fails => ("500 Internal Server Error", "{}".to_owned()),
                Fake::Refuses => ("401 Unauthorized", "{}".to_owned()),
                Fake::Hangs => return thread::sleep(Duration::from_secs(30)),
                Fake::Disconnects => return,
                Fake::Forgets(seq) => {
                    ("200 OK", json!({"items": [], "total": 0, "applied_seq": seq}).to_string())
                }
            };
            let length = body.len();
            let _gone = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        }
    }
}

/// Asks from several threads for this long. Returns how long each answer took, in order; every one has to be good.
fn load(engine: &Running, at_most: Duration) -> Vec<Duration> {
    let started = Instant::now();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let ask = |thread: usize| {
            let mut times = Vec::new();
            while started.elapsed() < at_most {
                let asked = Instant::now();
                let answer = search(engine, &format!("{}+{thread}+{}", WORDS[thread % 6], times.len()));
                assert_eq!(answer.status, 200, "{answer:?}");
                times.push(asked.elapsed());
                thread::sleep(Duration::from_millis(10));
            }
            times
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || ask(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    times.sort();
    times
}

#[test]
fn clients_see_no_failure_of_a_canary() {
    let data = tempfile::tempdir().unwrap();
    let stable = Running::start(data.path());
    fill(&stable, "");
    for (fake, metric) in [
        (Fake::Fails, "error"),
        (Fake::Hangs, "timeout"),
        (Fake::Disconnects, "error"),
        (Fake::Refuses, "fallback"),
    ] {
        let address = fake.serve();
        let mut grant = grant_of(&address, &address, "canary", 100);
        grant["revision"] = json!(address.trim_start_matches("http://"));
        granted(&stable, &grant);
        let times = load(&stable, Duration::from_secs(4));
        // Two seconds are what a client waits for a canary at most.
        let p99 = times[times.len() * 99 / 100];
        assert!(p99 <= Duration::from_millis(2_300), "{metric}: {p99:?}");
        let report = report(&stable);
        assert_eq!((&report["breaker_open"], &report["weight"]), (&json!(true), &json!(0)), "{report}");
        let (canary_only, stable_only, pairs) = counts(&report, metric);
        assert!(canary_only == pairs && pairs > 0 && stable_only == 0, "{metric}: {report}");
    }
    let metrics = stable.admin("/metrics").body;
    assert!(metrics.contains("memory_rollout_reads_total{answered_by=\"fallback\""), "{metrics}");
}

#[test]
fn a_canary_that_ends_under_load_answers_nobody_soon() {
    let Both { stable, canary, data: _data } = Both::start(&[]);
    granted(&stable, &grant_of(&url(canary.api), &url(canary.admin), "canary", 100));
    eventually("it answers", || report(&stable)["weight"] == 100);
    thread::scope(|scope| {
        let loading = scope.spawn(|| load(&stable, Duration::from_secs(4)));
        thread::sleep(Duration::from_secs(1));
        canary.kill();
        let killed = Instant::now();
        eventually("its weight is gone", || report(&stable)["weight"] == 0);
        assert!(killed.elapsed() <= Duration::from_secs(2), "{:?}", killed.elapsed());
        let times = loading.join().unwrap();
        assert!(times[times.len() * 99 / 100] <= Duration::from_secs(2), "{:?}", times.last());
    });
}

#[test]
fn the_breaker_closes_when_the_canary_is_well_again() {
    let both = Both::start(&[]);
    let bad = Fake::Fails.serve();
    granted(&both.stable, &grant_of(&bad, &url(both.canary.admin), "canary", 100));
    load(&both.stable, Duration::from_secs(1));
    assert_eq!(report(&both.stable)["breaker_open"], true);
    // The same pod at another address.
    both.grant("canary", 100);
    eventually("five good pairs in a row", || {
        search(&both.stable, "kettle");
        report(&both.stable)["weight"] == 100
    });
}

/// Nobody asks: the engine asks for memories that both should find.
#[test]
fn a_canary_that_forgets_is_found_without_clients() {
    let data = tempfile::tempdir().unwrap();
    let stable = Running::start(data.path());
    fill(&stable, "");
    let seq = stable.health()["log"]["seq"].as_u64().unwrap();
    let address = Fake::Forgets(seq).serve();
    granted(&stable, &grant_of(&address, &address, "shadow", 0));
    eventually("pairs were counted", || counts(&report(&stable), "knownItemMissed").2 >= 5);
    let report = report(&stable);
    let (missed, by_stable, pairs) = counts(&report, "knownItemMissed");
    assert_eq!((missed, by_stable), (pairs, 0), "{report}");
    assert_eq!(counts(&report, "disagreement").0, pairs, "{report}");
    assert_eq!((&report["tally"]["quality"]["live"], &report["probes_fault"]), (&json!(0), &json!(null)));
}

/// Engines whose callers need keys. `with_token`: whether the stable one has the token of readers too.
fn closed(with_token: bool) -> Value {
    let [files, stable_data, canary_data] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    for name in ["reader", "agent"] {
        write_secret(&files.path().join(name), key(name).secret_text());
    }
    let path = |name: &str| files.path().join(name).display().to_string();
    let agent = path("agent");
    let keys = format!(
        "access:\n  anonymous: false\n  keys:\n  - {{name: agent, files: ['{agent}'], scopes: [read, write], \
         projects: ['*']}}\n"
    );
    let with = format!("{keys}  readerTokenFile: {}\n", path("reader"));
    fs::write(files.path().join("with.yaml"), &with).unwrap();
    fs::write(files.path().join("without.yaml"), &keys).unwrap();
    let with = path("with.yaml");
    // The writer is a third engine, so that the stable one may lack the token.
    let writer = Running::spawn_with(stable_data.path(), &["--config".as_ref(), with.as_ref()]);
    eventually("ready", || writer.admin("/readyz").status == 200);
    fill(&writer, &bearer("agent"));
    let token = path("reader");
    let follow = |data: &std::path::Path, config: &str| {
        reader_of(
            data,
            &url(writer.admin),
            &url(writer.api),
            &["--config", config, "--follow-token-file", &token],
        )
    };
    let reader_data = tempfile::tempdir().unwrap();
    let stable = follow(reader_data.path(), &path(if with_token { "with.yaml" } else { "without.yaml" }));
    let canary = follow(canary_data.path(), &with);
    caught_up(&writer, &stable);
    caught_up(&writer, &canary);
    granted(&stable, &grant_of(&url(canary.api), &url(canary.admin), "shadow", 0));
    let read =
        |headers: &str| canary.connect().request("GET", "/v1/search?q=kettle", headers, "").unwrap().status;
    let mark = "memory-canary: compare\r\n";
    assert_eq!(read(&bearer("reader")), 401, "the token of readers opens no read of clients");
    assert_eq!(read(&format!("{}{mark}", bearer("reader"))), 200);
    assert_eq!(read(mark), 401);
    let body = json!({"content": "not by this token"}).to_string();
    let write = canary.post("/v1/memories", &format!("{}{mark}", bearer("reader")), &body);
    assert_eq!((write.status, write.code().as_str()), (401, "UNAUTHENTICATED"), "{write:?}");
    let asked =
        || stable.connect().request("GET", "/v1/search?q=teapot", &bearer("agent"), "").unwrap().status;
    eventually("pairs, or why not", || {
        assert_eq!(asked(), 200);
        let report = report(&stable);
        report["probes_fault"].is_string() || counts(&report, "knownItemMissed").2 >= 3
    });
    report(&stable)
}

#[test]
fn a_reader_asks_questions_of_its_own_with_the_token_of_readers() {
    let report = closed(true);
    let taken = report["tally"]["quality"]["taken"].as_u64().unwrap();
    assert_eq!(report["probes_fault"], Value::Null, "{report}");
    for metric in ["error", "fallback", "timeout", "knownItemMissed"] {
        assert_eq!(counts(&report, metric).0, 0, "{metric}: {report}");
    }
    assert!(taken >= 3, "{report}");
}

#[test]
fn without_that_token_it_says_that_it_asks_none() {
    let report = closed(false);
    assert!(report["probes_fault"].as_str().unwrap().contains("readerTokenFile"), "{report}");
    assert_eq!(report["tally"]["counts"]["knownItemMissed"]["pairs"], 0);
}

/// Answers as an admin port does, but with other digests.
fn with_other_digests(admin: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = url(listener.local_addr().unwrap());
    let answer = move |mut stream: &TcpStream| {
        let mut lines = BufReader::new(stream).lines();
        while let Some(Ok(first)) = lines.next() {
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let path = first.split(' ').nth(1).unwrap();
            let Ok(Answer { head, body, .. }) = Client::connect(admin).unwrap().request("GET", path, "", "")
            else {
                return;
            };
            let is_digest = path.starts_with("/log/digest");
            let body = if is_digest { body.replace("digest\":\"", "digest\":\"f") } else { body };
            let length = body.len();
            let head =
                if is_digest { format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n") } else { head };
            let _gone = write!(stream, "{head}{body}");
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });
    address
}

#[test]
fn a_reader_compares_its_digest_with_that_of_the_writer() {
    let Both { stable, canary, data: _data } = Both::start(&[]);
    eventually("two checks", || counts(&report(&canary), "digest").2 >= 2);
    let good = report(&canary);
    assert_eq!((&good["revision"], &good["fault"]), (&json!(null), &json!(null)), "{good}");
    for metric in ["digest", "chain", "downgrade"] {
        assert_eq!(counts(&good, metric).0, 0, "{good}");
    }
    drop(canary);
    let other = tempfile::tempdir().unwrap();
    let canary = reader_of(other.path(), &with_other_digests(stable.admin), &url(stable.api), &[]);
    // The first difference could be a moment between two engines; the second one counts.
    eventually("a difference that lasts", || counts(&report(&canary), "digest").0 >= 1);
    let bad = report(&canary);
    assert_eq!((counts(&bad, "chain").0, counts(&bad, "downgrade").0), (0, 0), "{bad}");
}
