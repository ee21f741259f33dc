//! A stop that the platform requests: announced first, then drained, and nothing is lost.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::process::{Client, Running, eventually};

/// Number of clients that save at the same time.
const CLIENTS: usize = 4;
/// Longest time without an answer that a client tolerates, with its retries.
const GAP_MAX: Duration = Duration::from_secs(20);

fn start(data: &Path, shutdown: &str) -> Running {
    let config = data.join("config.yaml");
    std::fs::write(&config, format!("shutdown: {{{shutdown}}}")).unwrap();
    let engine = Running::spawn_with(data, &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

/// What one client did: the ids that it was given, the requests that failed for good, and its longest wait.
#[derive(Debug, Default)]
struct Done {
    ids: Vec<String>,
    failed: Vec<String>,
    longest: Duration,
}

/// Clients of a Service: they save, and repeat a request that is answered 503 or not at all.
struct Clients {
    service: Arc<Mutex<SocketAddr>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Done>>,
}

impl Clients {
    fn start(address: SocketAddr) -> Clients {
        let (service, stop) = (Arc::new(Mutex::new(address)), Arc::new(AtomicBool::new(false)));
        let client = |number: usize| {
            let (service, stop) = (Arc::clone(&service), Arc::clone(&stop));
            thread::spawn(move || work(number, &service, &stop))
        };
        Clients { threads: (0..CLIENTS).map(client).collect(), service, stop }
    }

    fn finish(self) -> Vec<Done> {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

fn work(number: usize, service: &Mutex<SocketAddr>, stop: &AtomicBool) -> Done {
    let mut done = Done::default();
    let mut connection = None;
    for count in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let key = format!("{number}-{count}");
        let begun = Instant::now();
        match save(&mut connection, service, &key, begun + GAP_MAX) {
            Ok(id) => done.ids.push(id),
            Err(fault) => done.failed.push(fault),
        }
        done.longest = done.longest.max(begun.elapsed());
    }
    done
}

/// Saves one memory, with retries until `until`. Returns its id.
fn save(
    connection: &mut Option<Client>,
    service: &Mutex<SocketAddr>,
    key: &str,
    until: Instant,
) -> Result<String, String> {
    let body = json!({"content": format!("memory {key}")}).to_string();
    let mut last = String::new();
    while Instant::now() < until {
        let address = *service.lock().unwrap();
        let open = connection.take().map_or_else(|| Client::connect(address), Ok);
        let answered = open.and_then(|mut client| {
            let answer =
                client.request("POST", "/v1/memories", &format!("idempotency-key: {key}\r\n"), &body)?;
            Ok((client, answer))
        });
        match answered {
            Ok((client, answer)) if matches!(answer.status, 200 | 201) => {
                *connection = (!answer.has_header("connection: close")).then_some(client);
                return Ok(answer.json()["id"].as_str().unwrap().to_owned());
            }
            Ok((_, answer)) if answer.status != 503 => return Err(format!("{answer:?}")),
            Ok((_, answer)) => last = answer.body,
            Err(fault) => last = fault.to_string(),
        }
        sleep(Duration::from_millis(20));
    }
    Err(last)
}

#[test]
fn a_stop_under_load_is_announced_and_loses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut engine = start(data.path(), "delaySeconds: 2");
    let clients = Clients::start(engine.api);
    sleep(Duration::from_millis(300));
    let (told, api) = (Instant::now(), engine.api);
    engine.send(Signal::TERM);
    eventually("not ready", || engine.admin("/readyz").status == 503);
    assert!(told.elapsed() < Duration::from_secs(1), "announced at once: {:?}", told.elapsed());
    assert_eq!(engine.admin("/readyz").body, "not ready: stopping\n");
    assert_eq!(engine.admin("/readyz?for=writes").status, 503);
    let checks = engine.admin("/readyz?verbose").body;
    assert!(checks.contains("[-]shutdown failed") && checks.contains("[+]log ok"), "{checks}");
    assert_eq!(engine.admin("/livez").status, 200);
    let mut newcomer = Client::connect(api).unwrap();
    let answer = newcomer.request("GET", "/v1/log/head", "", "").unwrap();
    assert!(answer.status == 200 && answer.has_header("connection: close"), "it serves on: {answer:?}");
    assert_eq!(engine.wait().code(), Some(0));
    let stopped = told.elapsed();
    assert!((2.0..8.0).contains(&stopped.as_secs_f64()), "the delay, and little more: {stopped:?}");
    drop(engine);
    let engine = start(data.path(), "delaySeconds: 2");
    *clients.service.lock().unwrap() = engine.api;
    sleep(Duration::from_millis(300));
    let done = clients.finish();
    let failed: Vec<&String> = done.iter().flat_map(|client| &client.failed).collect();
    assert!(failed.is_empty(), "{} requests failed: {failed:?}", failed.len());
    let ids: BTreeSet<&String> = done.iter().flat_map(|client| &client.ids).collect();
    let saved: usize = done.iter().map(|client| client.ids.len()).sum();
    assert_eq!(
        (ids.len(), engine.total("q=memory")),
        (saved, saved as u64),
        "nothing is lost and nothing doubled"
    );
    let gap = done.iter().map(|client| client.longest).max().unwrap_or_default();
    println!("{saved} memories, longest gap {gap:?}");
    assert!(saved > 100 && gap < GAP_MAX, "{saved} memories, {gap:?}");
}

#[test]
fn a_second_signal_and_sigint_end_the_delay() {
    let data = tempfile::tempdir().unwrap();
    for signals in [&[Signal::TERM, Signal::TERM][..], &[Signal::INT]] {
        let mut engine = start(data.path(), "delaySeconds: 60");
        let told = Instant::now();
        for signal in signals {
            engine.send(*signal);
            // A signal that follows too soon would be merged with the first.
            sleep(Duration::from_millis(200));
        }
        assert_eq!(engine.wait().code(), Some(0));
        assert!(told.elapsed() < Duration::from_secs(20), "{:?}", told.elapsed());
    }
}
