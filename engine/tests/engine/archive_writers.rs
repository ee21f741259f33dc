//! Writers of one archive that follow each other: the engine is killed, and another one takes over.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::{Running, binary, eventually};

const TAKE_OVERS: usize = 10;
/// The interval of the archive in this test.
const INTERVAL: Duration = Duration::from_secs(1);
/// How old the state may be that a restore would give, at any time after a take-over: the default interval of an
/// archive. Here it is ten times the interval, because other tests run on the same machine.
const LAG_MAX: Duration = Duration::from_secs(10);
/// How long each writer is watched: several of its steps.
const WATCHED: Duration = Duration::from_millis(3_500);

fn engine(directory: &Path, data: &str) -> Running {
    let config = directory.join("config.yaml");
    let engine = Running::spawn_with(&directory.join(data), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    engine
}

/// Writes to an engine for a while. Returns the largest lag: how long an acknowledged event was not archived.
fn watch(engine: &Running) -> Duration {
    let (begun, mut waiting, mut largest) = (Instant::now(), Vec::new(), Duration::ZERO);
    let mut number = 0;
    loop {
        let writes = begun.elapsed() < WATCHED;
        if writes {
            number += 1;
            let saved = engine.save(&format!("write {number} of the engine {}", engine.pid()));
            waiting.push((saved.json()["seq"].as_u64().unwrap(), Instant::now()));
        }
        let archived = engine.admin("/backups").json()["archived_seq"].as_u64().unwrap_or_default();
        for (_, acknowledged) in waiting.extract_if(.., |(seq, _)| *seq <= archived) {
            largest = largest.max(acknowledged.elapsed());
        }
        if !writes && waiting.is_empty() {
            return largest;
        }
        let oldest = waiting.first().map_or(Duration::ZERO, |(_, acknowledged)| acknowledged.elapsed());
        assert!(
            oldest < LAG_MAX,
            "an event is not archived after {oldest:?}: {:?}",
            engine.admin("/backups")
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every second time the volume is lost, and the next engine begins with what the archive has.
#[test]
fn after_each_of_ten_take_overs_the_archive_is_at_most_an_interval_behind() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("file://{}", directory.path().join("store").display());
    let config = format!("backup:\n  url: '{url}'\n  archiveIntervalSeconds: {}\n", INTERVAL.as_secs());
    fs::write(directory.path().join("config.yaml"), config).unwrap();
    let mut running = engine(directory.path(), "data0");
    let mut data = "data0".to_owned();
    let mut lags = vec![watch(&running)];
    for number in 1..=TAKE_OVERS {
        running.kill();
        if number % 2 == 0 {
            data = format!("data{number}");
            let to = directory.path().join(&data);
            let restored = binary().args(["backup", "restore", "--store", &url, "--to"]).arg(&to).output();
            let restored = restored.unwrap();
            assert!(restored.status.success(), "{restored:?}");
        }
        running = engine(directory.path(), &data);
        lags.push(watch(&running));
    }
    assert!(running.terminate().success());
    println!("largest lag of each writer, with an interval of {INTERVAL:?}: {lags:?}");
    // A lag that was measured at all: events wait for the next step.
    assert!(lags.iter().all(|lag| *lag > Duration::ZERO && *lag < LAG_MAX), "{lags:?}");
}
