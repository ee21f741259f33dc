//! A standby: an engine that follows the archive alone, and is compared with the writer.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::backup::{Places, archived, save, texts};
use crate::process::{Running, eventually};
use crate::reader_proxy::{Fault, Proxy};
use crate::readers::{lines, sample, url};

/// Starts a standby with the configuration of the writer. Its writer is behind this URL.
fn standby(places: &Places, data: &str, admin: &str) -> Running {
    let config = places.at("config.yaml");
    let arguments = ["--follow", admin, "--follow-archive", "--config", config.to_str().unwrap()];
    Running::spawn_with(&places.at(data), &arguments.map(OsStr::new))
}

fn said(standby: &Running) -> Value {
    standby.health()["following"]["standby"].clone()
}

/// Waits until a standby has restored what the writer has, and has found it to be the same.
fn verified(writer: &Running, standby: &Running) {
    let head = writer.health()["log"]["seq"].clone();
    eventually("everything is restored and verified", || {
        let said = said(standby);
        said["seq"] == head && said["verified"] == true && said["rpo_seconds"] == 0
    });
}

/// The newest piece of the segment that is being written.
fn newest_tail(places: &Places) -> PathBuf {
    let tails = places.objects().into_iter().filter(|path| path.parent().unwrap().ends_with("tails"));
    tails.max().expect("a tail")
}

#[test]
fn a_standby_restores_from_the_archive_alone_and_shows_what_it_found() {
    let places = Places::of(true);
    let writer = places.engine("data");
    save(&writer, texts(0..30));
    assert_eq!(writer.admin_post("/rotate", "").status, 200);
    save(&writer, texts(30..40));
    archived(&writer);
    // Lines of the writer would be changed on the way, which breaks the chain of a reader.
    let proxy = Proxy::before(writer.admin);
    proxy.set(Fault::Flip);
    let first = standby(&places, "standby", &proxy.url());
    verified(&writer, &first);
    assert_eq!((proxy.changed(), first.admin("/readyz").status), (0, 200), "{}", first.health());
    assert_eq!(first.total("q=kettle"), 40);
    let health = first.health();
    assert_eq!((&health["role"], &health["following"]["state"]), (&json!("reader"), &json!("connected")));
    let seen = said(&first);
    assert!(seen["rto_ms"].as_u64() > Some(0) && seen["rto_events"].as_u64() >= Some(40), "{seen}");
    assert!(seen["verified_at"].is_string() && seen["catch_up_ms"].is_u64(), "{seen}");
    let number = |name: &str| sample(&first, name).parse::<i64>().unwrap();
    assert_eq!((number("memory_standby_verified"), number("memory_standby_rpo_seconds")), (1, 0));
    assert!(number("memory_standby_rto_seconds") >= 1 && number("memory_standby_catch_up_seconds") >= 1);
    assert!(number("memory_standby_verified_timestamp_seconds") > 1_700_000_000);
    assert_eq!(number("memory_standby_seq").to_string(), sample(&writer, "memory_log_head_seq"));
    assert_eq!(sample(&writer, "memory_standby_verified"), "-1", "the writer is no standby");

    // It goes on with what is saved, sealed and forgotten, and after a restart.
    let saved = writer.save("the teapot is green").json();
    let forgotten = json!({"ids": [saved["id"]], "reason": "asked for"}).to_string();
    archived(&writer);
    verified(&writer, &first);
    assert_eq!(first.total("q=teapot"), 1);
    assert_eq!(writer.post("/v1/forget", "", &forgotten).status, 200);
    assert_eq!(writer.admin_post("/rotate", "").status, 200);
    save(&writer, texts(40..45));
    verified(&writer, &first);
    assert_eq!((first.total("q=teapot"), first.total("q=kettle")), (0, 45));
    let (rto, events) = (said(&first)["rto_ms"].clone(), said(&first)["rto_events"].clone());
    assert!(first.terminate().success());
    save(&writer, texts(45..50));
    let second = standby(&places, "standby", &proxy.url());
    verified(&writer, &second);
    assert_eq!(
        (&said(&second)["rto_ms"], &said(&second)["rto_events"]),
        (&rto, &events),
        "it was no rebuild"
    );
    eventually("the payload is erased", || {
        !String::from_utf8_lossy(&lines(&places.at("standby"))).contains("teapot")
    });
    assert!(second.terminate().success() && writer.terminate().success());
    assert!(lines(&places.at("data")) == lines(&places.at("standby")), "the same bytes");
}

/// What the writer says of the log of a standby.
fn difference(standby: &Running, reason: &str) -> String {
    eventually("the difference is found", || said(standby)["different"]["reason"] == reason);
    let seen = said(standby);
    assert_eq!(
        (&seen["verified"], sample(standby, "memory_standby_verified")),
        (&json!(false), "0".to_owned())
    );
    seen["different"]["message"].as_str().unwrap().to_owned()
}

/// Copies the log of an engine as a backup of its volume does.
fn backed_up(from: &Path, to: &Path) {
    for part in ["log", "keys"] {
        fs::create_dir_all(to.join(part)).unwrap();
        for entry in fs::read_dir(from.join(part)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join(part).join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A writer whose archive a standby follows, a copy of it with half of its events, and the way to either.
struct Compared {
    places: Places,
    writer: Running,
    standby: Running,
    proxy: Proxy,
}

impl Compared {
    fn start() -> Compared {
        let places = Places::new();
        let writer = places.engine("data");
        save(&writer, texts(0..10));
        backed_up(&places.at("data"), &places.at("fork"));
        save(&writer, texts(10..20));
        archived(&writer);
        let proxy = Proxy::before(writer.admin);
        let standby = standby(&places, "standby", &proxy.url());
        verified(&writer, &standby);
        Compared { places, writer, standby, proxy }
    }
}

#[test]
fn another_root_of_the_writer_is_reported_with_both() {
    let Compared { places, writer, standby, proxy } = Compared::start();
    let fork = Running::start(&places.at("fork"));
    save(&fork, texts(50..70));
    proxy.lead_to(fork.admin);
    let message = difference(&standby, "root");
    for engine in [&writer, &fork] {
        let root = engine.admin("/log/root?size=20").json()["root"].as_str().unwrap().to_owned();
        assert!(message.contains(&root), "{message}: {root}");
        eventually("it is said", || standby.said().contains(&root));
    }
    assert!(standby.said().contains("what is restored from the archive is not the writer's log"));
    assert_eq!(standby.total("q=kettle"), 20, "what is restored can be read");
    proxy.lead_to(writer.admin);
    verified(&writer, &standby);
    assert_eq!(said(&standby)["different"], Value::Null);
}

#[test]
fn a_writer_that_is_away_leaves_the_verdict_and_one_with_fewer_events_or_another_log_does_not() {
    let Compared { places, standby, proxy, .. } = Compared::start();
    proxy.lead_to(nobody());
    eventually("the writer is away", || said(&standby)["fault"].is_string());
    let seen = said(&standby);
    assert_eq!((&seen["verified"], &seen["different"]), (&json!(true), &Value::Null), "{seen}");
    let before = seen["verified_at"].clone();
    let fork = Running::start(&places.at("fork"));
    proxy.lead_to(fork.admin);
    assert!(difference(&standby, "shorter").contains("the writer ends at event 1"));
    let data = tempfile::tempdir().unwrap();
    let other = Running::start(data.path());
    save(&other, texts(0..30));
    proxy.lead_to(other.admin);
    difference(&standby, "other_log");
    assert_eq!(said(&standby)["verified_at"], before, "it was not verified since");
}

#[test]
fn a_damaged_piece_stops_a_standby_is_named_and_is_not_verified() {
    let places = Places::new();
    let writer = places.engine("data");
    save(&writer, texts(0..5));
    archived(&writer);
    let standby = standby(&places, "standby", &url(writer.admin));
    verified(&writer, &standby);
    // It is damaged before the standby sees it.
    standby.send(rustix::process::Signal::STOP);
    save(&writer, texts(5..10));
    archived(&writer);
    let tail = newest_tail(&places);
    let sound = fs::read(&tail).unwrap();
    let mut changed = sound.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&tail, changed).unwrap();
    standby.send(rustix::process::Signal::CONT);
    let name = tail.file_name().unwrap().to_str().unwrap().to_owned();
    eventually("the damage is found", || {
        said(&standby)["damaged"].as_str().is_some_and(|damaged| damaged.contains(&name))
    });
    let health = standby.health();
    assert_eq!(health["following"]["state"], "damaged", "{health}");
    assert_eq!((sample(&standby, "memory_standby_verified"), standby.total("q=kettle")), ("0".to_owned(), 5));
    eventually("what is missing grows old", || said(&standby)["rpo_seconds"].as_u64() >= Some(2));
    assert!(standby.said().contains(&name));
    fs::write(&tail, sound).unwrap();
    verified(&writer, &standby);
    assert_eq!((said(&standby)["damaged"].clone(), standby.total("q=kettle")), (Value::Null, 10));
}

/// The admin port of the newest process in a log.
fn newest_admin(standby: &Running) -> Option<SocketAddr> {
    let said = standby.said();
    let lines = said.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let serving = lines.into_iter().find(|line| line["message"] == "serving");
    serving?["admin_listen"].as_str()?.parse().ok()
}

#[test]
fn a_new_writer_from_an_earlier_event_makes_a_standby_start_over() {
    let places = Places::new();
    let old = places.engine("data");
    save(&old, texts(0..10));
    archived(&old);
    let proxy = Proxy::before(old.admin);
    let mut standby = standby(&places, "standby", &proxy.url());
    verified(&old, &standby);
    // A restart of the writer takes over everything: nothing is thrown away.
    assert!(old.terminate().success());
    let old = places.engine("data");
    proxy.lead_to(old.admin);
    save(&old, texts(10..20));
    archived(&old);
    verified(&old, &standby);
    assert_eq!(said(&standby)["started_over"], Value::Null);
    old.kill();
    let (code, restored) = places.restore("new", &["--until", "12"]);
    assert_eq!(code, Some(0), "{restored}");
    let new = places.engine("new");
    proxy.lead_to(new.admin);
    save(&new, texts(30..33));
    archived(&new);
    let pid = standby.pid();
    let before = standby.admin;
    eventually("it begins again by itself", || newest_admin(&standby).is_some_and(|admin| admin != before));
    standby.admin = newest_admin(&standby).unwrap();
    verified(&new, &standby);
    let seen = said(&standby);
    let reason = seen["started_over"]["reason"].as_str().unwrap();
    assert!(reason.contains("another writer continued from event 10"), "{seen}");
    assert_eq!(standby.pid(), pid, "it is the same process for whoever runs it");
    assert!(standby.said().contains("the copy was thrown away"));
    assert!(new.terminate().success() && standby.terminate().success());
    assert!(lines(&places.at("new")) == lines(&places.at("standby")));
}

#[test]
fn backups_are_removed_while_a_standby_follows() {
    let places = Places::new();
    let writer = places.engine("data");
    let standby = standby(&places, "standby", &url(writer.admin));
    for round in 0..6 {
        save(&writer, texts(10 * round..10 * round + 10));
        assert_eq!(writer.admin_post("/backups", "{}").status, 200);
        assert_eq!(writer.admin_post("/rotate", "").status, 200);
        save(&writer, [format!("the first of segment {round}")]);
        archived(&writer);
        let (code, pruned) = places.backup(&["prune", "--keep-last", "1", "--keep-days", "0"]);
        assert_eq!((code, &pruned["skipped"]), (Some(0), &Value::Null), "nobody holds it up: {pruned}");
    }
    verified(&writer, &standby);
    let seen = said(&standby);
    assert_eq!((&seen["damaged"], &seen["started_over"]), (&Value::Null, &Value::Null), "{seen}");
    assert!(!places.objects().iter().any(|path| path.to_string_lossy().contains("/pins/")), "it only reads");
}

#[test]
fn a_standby_needs_an_archive_and_the_root_of_the_log_belongs_to_its_owner() {
    let places = Places::new();
    let writer = places.engine("data");
    save(&writer, texts(0..2));
    let root = writer.admin("/log/root?size=1").json();
    assert!(root["root"].is_string() && root["next_age_ms"].is_u64() && root["head_seq"] == 2, "{root}");
    let beyond = writer.admin("/log/root?size=3").json();
    assert_eq!((&beyond["root"], &beyond["next_age_ms"]), (&Value::Null, &Value::Null), "{beyond}");
    assert_eq!(writer.admin("/log/root?size=x").status, 400);
    let data = places.at("other");
    let mut command = crate::process::binary();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"]).arg(&data);
    let refused = command.args(["--follow", &url(writer.admin), "--follow-archive"]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("backup.url"), "{text}");
    let standby = standby(&places, "standby", &url(writer.admin));
    assert_eq!(standby.admin("/log/root?size=1").code(), "WRITES_OFF");
}
