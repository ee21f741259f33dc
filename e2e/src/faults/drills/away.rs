//! An object store that is away while clients write. A second engine, without an archive, gets the same requests: what
//! it needs is no cost of the archive. A standby follows the archive meanwhile.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::super::engine::{Engine, Launch};
use super::super::http::Connection;
use super::super::progress::Progress;
use super::super::s3::Gateway;
use super::archive::Archive;
use super::life::{archived, status};
use super::memories::{found, save};

/// The bucket of the archive.
const BUCKET: &str = "away";
/// Texts that are archived before the store goes away.
const BEFORE: u64 = 100;
/// How much more memory an engine may need than the one without an archive, KiB: ten times the largest piece. One piece
/// of the log is in memory in several forms while it is made, and nothing is queued.
const MORE_MEMORY_KIB_MAX: u64 = 10 * (16 << 10);
/// Longest time without an acknowledgement.
const GAP_MAX: Duration = Duration::from_secs(5);
/// Time to catch up, beside a tenth of the time without the store. The next attempt comes within a minute.
const CATCH_UP: Duration = Duration::from_secs(90);
/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_secs(1);

/// Shortest age of what the standby lacks when the store comes back: it knows of it after a comparison, ten seconds.
const BEHIND_MIN_SECONDS: u64 = 5;

/// A run with its engine.
#[derive(Debug)]
pub(crate) struct Away {
    /// Time without the store.
    pub(crate) length: Duration,
    /// Requests in a second.
    pub(crate) rate: u64,
    pub(crate) engine: PathBuf,
    /// The program of the object store.
    pub(crate) gateway: PathBuf,
    /// An empty folder in memory.
    pub(crate) place: PathBuf,
}

/// What was seen while the store was away.
#[derive(Debug, Default)]
struct Seen {
    acknowledged: u64,
    refused: Vec<String>,
    /// Longest request of the engine with the archive, and of the one without.
    longest: [Duration; 2],
    /// Most memory of the engine with the archive, and of the one without, KiB.
    memory: [u64; 2],
}

impl Away {
    /// Runs everything; returns what was wrong.
    ///
    /// # Errors
    /// The environment fails, or an engine does not do what it is asked for.
    pub(crate) fn run(&self) -> Result<Vec<String>> {
        let mut gateway = Gateway::start(&self.gateway, &self.place, false)?;
        gateway.bucket(BUCKET, &[])?;
        let archive = Archive::in_buckets(&self.engine, &self.place, &gateway, (BUCKET, BUCKET), "log")?;
        let config = self.place.join("config.yaml");
        fs::write(&config, archive.configuration(1))?;
        let mut launch = Launch::new(&self.engine, &self.place.join("data"));
        let beside = Engine::start(&Launch::new(&self.engine, &self.place.join("beside")))?;
        launch.config = Some(config);
        let engine = Engine::start(&launch)?;
        for engine in [&engine, &beside] {
            save(&mut Connection::open(engine.api)?, 1, BEFORE)?;
        }
        archived(&engine)?;
        let follow = ["--follow", &format!("http://{}", engine.admin), "--follow-archive"];
        let arguments = follow.map(str::to_owned).to_vec();
        let data = self.place.join("standby");
        let standby = Engine::start(&Launch { data, arguments, ..launch.clone() })?;
        verified(&engine, &standby, CATCH_UP)?;
        gateway.go_away();
        let seen = self.write([&engine, &beside])?;
        let away = status(&engine)?;
        let mut breaches = seen.breaches(&away);
        breaches.extend(unnoticed(&standby)?);
        gateway.come_back()?;
        let caught_up = self.catch_up(&engine)?;
        verified(&engine, &standby, CATCH_UP)?;
        self.check_restores(&archive, seen.acknowledged).map(|missing| {
            self.print(&seen, caught_up, away["lag_events"].as_u64());
            breaches.into_iter().chain(missing).collect()
        })
    }

    /// Sends the same requests to both engines, and looks at their memory.
    fn write(&self, engines: [&Engine; 2]) -> Result<Seen> {
        let mut seen = Seen::default();
        let mut connections = [Connection::open(engines[0].api)?, Connection::open(engines[1].api)?];
        let requests = self.length.as_secs() * self.rate;
        let progress = Progress::new("writing without the store", requests);
        let (started, mut looked) = (Instant::now(), None::<Instant>);
        for request in 0..requests {
            let due = started + self.length.mul_f64(request as f64 / requests as f64);
            sleep(due.saturating_duration_since(Instant::now()));
            for (connection, longest) in connections.iter_mut().zip(&mut seen.longest) {
                let sent = Instant::now();
                if let Err(fault) = save(connection, BEFORE + 1 + request, 1) {
                    seen.refused.push(format!("request {request}: {fault:#}"));
                }
                *longest = sent.elapsed().max(*longest);
            }
            ensure!(seen.refused.len() < 20, "writes are refused: {:?}", seen.refused);
            seen.acknowledged += 1;
            if looked.is_none_or(|looked| looked.elapsed() > LOOK) {
                looked = Some(Instant::now());
                for (engine, memory) in engines.iter().zip(&mut seen.memory) {
                    *memory = engine.memory_kib()?.max(*memory);
                }
            }
            progress.step();
        }
        Ok(seen)
    }

    /// Waits until everything is archived; returns how long it took.
    fn catch_up(&self, engine: &Engine) -> Result<Duration> {
        let (started, limit) = (Instant::now(), CATCH_UP + self.length / 10);
        loop {
            let status = status(engine)?;
            if status["state"] == "archiving" && status["lag_events"] == 0 {
                return Ok(started.elapsed());
            }
            ensure!(started.elapsed() < limit, "not everything is archived after {limit:?}: {status}");
            sleep(Duration::from_millis(100));
        }
    }

    /// Restores the archive; returns what is missing.
    fn check_restores(&self, archive: &Archive, acknowledged: u64) -> Result<Option<String>> {
        let to = self.place.join("restored");
        let said = archive.run(&["restore", "--to", &to.display().to_string()], None)?;
        ensure!(said.code == Some(0), "the archive does not restore: {}", said.text);
        let there = found(&to.join("log")).context("the restored log")?;
        let missing = (1..=BEFORE + acknowledged).filter(|number| !there.contains(number)).count();
        Ok((missing > 0).then(|| format!("{missing} acknowledged memories are not in the archive")))
    }

    /// Prints readable text, then one line of JSON.
    fn print(&self, seen: &Seen, caught_up: Duration, behind: Option<u64>) {
        let Seen { acknowledged, refused, longest, memory } = seen;
        let millis = longest.map(|longest| longest.as_millis());
        println!(
            "store away for {} s: {acknowledged} requests, {} refused; longest {} ms ({} ms without an archive); most \
             memory {} KiB ({} KiB without an archive); {behind:?} events behind, caught up in {:.1} s",
            self.length.as_secs(),
            refused.len(),
            millis[0],
            millis[1],
            memory[0],
            memory[1],
            caught_up.as_secs_f64(),
        );
        println!(
            "{}",
            json!({"campaign": "store-away", "seconds": self.length.as_secs(), "requests": acknowledged,
                "refused": refused.len(), "longest_ms": millis.map(|millis| millis as u64), "memory_kib": memory,
                "behind": behind, "caught_up_seconds": caught_up.as_secs_f64()})
        );
    }
}

/// Waits until a standby has restored everything, and has found it to be the log of the engine.
fn verified(engine: &Engine, standby: &Engine, limit: Duration) -> Result<()> {
    let started = Instant::now();
    loop {
        let (head, health) = (engine.health()?["log"]["seq"].clone(), standby.health()?);
        let seen = &health["following"]["standby"];
        if seen["seq"] == head && seen["verified"] == true && seen["rpo_seconds"] == 0 {
            return Ok(());
        }
        ensure!(
            started.elapsed() < limit,
            "the standby has not restored everything after {limit:?}: {health}"
        );
        sleep(Duration::from_millis(100));
    }
}

/// What a standby does not say of a store that is away.
fn unnoticed(standby: &Engine) -> Result<Option<String>> {
    let health = standby.health()?;
    let following = &health["following"];
    let seen = &following["standby"];
    let lacks = seen["rpo_seconds"].as_u64() >= Some(BEHIND_MIN_SECONDS);
    let is_noticed = following["state"] == "unreachable" && lacks && seen["damaged"].is_null();
    Ok((!is_noticed).then(|| format!("the standby does not say that the store is away: {health}")))
}

impl Seen {
    /// What was not as promised.
    fn breaches(&self, away: &serde_json::Value) -> Vec<String> {
        let mut breaches = self.refused.clone();
        let behind = away["lag_events"].as_u64().unwrap_or_default();
        if behind == 0 || away["state"] == "archiving" {
            breaches.push(format!("the engine does not say that its store is away: {away}"));
        }
        if self.longest[0] > GAP_MAX {
            breaches.push(format!("a request took {:?}", self.longest[0]));
        }
        if self.memory[0] > self.memory[1] + MORE_MEMORY_KIB_MAX {
            breaches.push(format!("{:?} KiB of memory with and without an archive", self.memory));
        }
        breaches
    }
}
