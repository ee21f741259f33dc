//! Drills: processes are killed at random steps of an archive, and the archive alone must give back what was promised.

mod archive;
mod away;
mod checks;
mod fuse;
mod life;
mod locked;
mod memories;
mod step;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::dice::Dice;
use super::progress::Progress;
use super::s3::Gateway;
use archive::Archive;
pub(super) use away::Away;
use checks::Measured;
use life::Life;
pub(super) use locked::Locked;
use memories::Forgotten;
use step::{Lengths, Step};

/// Drills with one archive before another one is begun: enough that an archive has survived several kills.
const DRILLS_PER_LOG: u64 = 10;
/// Archives at the same time: a drill waits more than it computes.
const AT_ONCE: usize = 4;
/// Maximum number of breaches printed; later ones are alike.
const TOLD_MAX: usize = 20;

/// A campaign with its engine.
#[derive(Debug)]
pub(super) struct Drills {
    pub(super) drills: u64,
    pub(super) seed: u64,
    /// True for the control: after each kill the archive loses an event that it had reported as archived.
    pub(super) control: bool,
    pub(super) engine: PathBuf,
    /// The program of the object store; without it the archives are in directories.
    pub(super) gateway: Option<PathBuf>,
    /// An empty folder in memory.
    pub(super) place: PathBuf,
}

/// Results of a campaign.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) drills: u64,
    /// Drills after which a promise was broken.
    pub(super) flagged: u64,
    /// For each step: how often a process was killed inside of it, and just after it.
    steps: BTreeMap<Step, (u64, u64)>,
    acknowledged: usize,
    forgotten: usize,
    restores: u64,
    losses: Vec<Duration>,
    restored_in: Vec<Duration>,
    seconds: f64,
    told: Vec<String>,
}

impl Outcome {
    fn count(&mut self, step: Step, inside: bool, measured: Measured) {
        self.drills += 1;
        let (within, after) = self.steps.entry(step).or_default();
        *(if inside { within } else { after }) += 1;
        self.restores += measured.restores;
        self.losses.push(measured.rpo);
        self.restored_in.extend(Some(measured.rto).filter(|rto| !rto.is_zero()));
    }

    fn flag(&mut self, drill: &str, breaches: &[String]) {
        self.flagged += 1;
        self.told.extend(breaches.iter().map(|breach| format!("{drill}: {breach}")));
        self.told.truncate(TOLD_MAX);
    }

    fn finish(&mut self, life: &Life) {
        self.acknowledged += life.memories.len();
        self.forgotten += life.memories.iter().filter(|memory| memory.forgotten == Forgotten::Done).count();
    }

    /// Prints readable text, then one line of JSON.
    pub(super) fn print(&self, campaign: &Drills) {
        for breach in &self.told {
            println!("  {breach}");
        }
        let store = if campaign.gateway.is_some() { "object store" } else { "directory" };
        println!(
            "drills with an archive in {}{store}{}, seed {}: {} drills in {:.0} s, {} flagged; {} memories \
             acknowledged, {} of them forgotten; {} restores",
            if campaign.gateway.is_some() { "an " } else { "a " },
            if campaign.control { ", control that loses objects" } else { "" },
            campaign.seed,
            self.drills,
            self.seconds,
            self.flagged,
            self.acknowledged,
            self.forgotten,
            self.restores,
        );
        for (step, (inside, after)) in &self.steps {
            println!("  {:<12}killed inside {inside:>4}, just after {after:>4}", step.name());
        }
        let (rpo, rto) = (spread(&self.losses), spread(&self.restored_in));
        for (name, spread) in [("lost before the kill (RPO)", &rpo), ("restored and answering (RTO)", &rto)] {
            println!(
                "  {name:<30}median {} ms, 95 % {} ms, largest {} ms",
                spread["median_ms"], spread["p95_ms"], spread["max_ms"]
            );
        }
        let steps: BTreeMap<&str, Value> = self
            .steps
            .iter()
            .map(|(step, (inside, after))| (step.name(), json!({"inside": inside, "after": after})))
            .collect();
        println!(
            "{}",
            json!({"store": store, "control": campaign.control, "seed": campaign.seed, "drills": self.drills,
                "flagged": self.flagged, "acknowledged": self.acknowledged, "forgotten": self.forgotten,
                "restores": self.restores, "steps": steps, "rpo": rpo, "rto": rto, "seconds": self.seconds})
        );
    }
}

/// Median, 95th percentile and maximum, milliseconds.
fn spread(times: &[Duration]) -> Value {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = |percent: usize| {
        let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(place).map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    };
    json!({"median_ms": at(50), "p95_ms": at(95), "max_ms": at(100)})
}

impl Drills {
    /// Runs the campaign.
    ///
    /// # Errors
    /// The environment fails. Faults of the archive are in the returned outcome, not in the error.
    pub(super) fn run(&self) -> Result<Outcome> {
        let started = Instant::now();
        let library = fuse::compile(&self.place)?;
        let gateway = self.gateway.as_deref().map(|program| self.gateway(program)).transpose()?;
        let (outcome, lengths) = (Mutex::new(Outcome::default()), Lengths::new());
        let progress = Mutex::new(Progress::new("drills", self.drills));
        // The control ends each archive that it has damaged.
        let of_one = if self.control { 1 } else { DRILLS_PER_LOG };
        let (next, logs) = (AtomicU64::new(0), self.drills.div_ceil(of_one));
        let work = || -> Result<()> {
            loop {
                let log = next.fetch_add(1, Ordering::Relaxed);
                if log >= logs {
                    return Ok(());
                }
                let drills = of_one.min(self.drills - log * of_one);
                let place = self.place.join(log.to_string());
                fs::create_dir(&place)?;
                let archive = Archive::new(&self.engine, &place, gateway.as_ref(), log)?;
                let dice = Dice::new(self.seed).fork(log);
                let mut life = Life::begin(place.clone(), archive, &self.engine, &library, dice)?;
                self.live(log, &mut life, drills, &lengths, (&outcome, &progress))?;
                locked(&outcome).finish(&life);
                fs::remove_dir_all(&place)?;
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| {
                worker.join().map_err(|_| anyhow::anyhow!("a thread of the campaign panicked"))?
            })
        })?;
        let mut outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        outcome.seconds = started.elapsed().as_secs_f64();
        Ok(outcome)
    }

    fn gateway(&self, program: &Path) -> Result<Gateway> {
        let place = self.place.join("objects");
        fs::create_dir(&place)?;
        let gateway = Gateway::start(program, &place, false)?;
        gateway.bucket(archive::BUCKET, &[])?;
        Ok(gateway)
    }

    /// Drills with one archive. One that broke a promise is not used any further.
    fn live(
        &self,
        log: u64,
        life: &mut Life,
        drills: u64,
        lengths: &Lengths,
        (outcome, progress): (&Mutex<Outcome>, &Mutex<Progress>),
    ) -> Result<()> {
        let mut engine = life.start()?;
        for drill in 0..drills {
            life.work(&engine)?;
            let step = Step::ALL[usize::try_from(life.dice.below(Step::ALL.len() as u64))?];
            let mut struck = life.interrupt(step, engine, lengths)?;
            let mut breaches = std::mem::take(&mut struck.breaches);
            if self.control {
                life.lose_one(struck.archived)?;
            }
            let mut measured = life.check_archive(&struck, &mut breaches)?;
            life.archive.age()?;
            engine = match life.start() {
                Ok(engine) => engine,
                Err(fault) => {
                    breaches.push(format!("after the kill: {fault:#}"));
                    self.flag(life, (log, drill, step), &breaches, outcome)?;
                    locked(outcome).count(step, struck.inside, measured);
                    return Ok(());
                }
            };
            if !self.control && breaches.is_empty() {
                life.check_continued(&engine, &mut breaches, &mut measured)?;
            }
            locked(outcome).count(step, struck.inside, measured);
            locked(progress).step();
            if !breaches.is_empty() {
                return self.flag(life, (log, drill, step), &breaches, outcome);
            }
        }
        Ok(())
    }

    /// Records a broken promise, and keeps what is left of the engine and its archive.
    fn flag(
        &self,
        life: &Life,
        (log, drill, step): (u64, u64, Step),
        breaches: &[String],
        outcome: &Mutex<Outcome>,
    ) -> Result<()> {
        let name = format!("archive {log}, drill {drill}, {}", step.name());
        locked(outcome).flag(&name, breaches);
        if !self.control {
            let place = std::env::temp_dir().join(format!("memoryengine-drill-{}-{log}", self.seed));
            let copied = std::process::Command::new("cp").arg("-a").arg(&life.place).arg(&place).status();
            copied.context("`cp` cannot be started")?;
            println!("{name}: the engine and its archive are kept in {}", place.display());
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_largest_value() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(spread(&times), json!({"median_ms": 101, "p95_ms": 191, "max_ms": 200}));
        assert_eq!(spread(&[])["max_ms"], Value::Null);
    }
}
