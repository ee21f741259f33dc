//! Random cuts (power or process), and a check of what the log retains afterwards.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::dice::Dice;
use super::engine::{Engine, Launch};
use super::http::Connection;
use super::ledger::Ledger;
use super::preload;
use super::progress::Progress;
use super::sandbox;
use super::volume::{FileSystem, Volume};
use super::writers::{Given, Load, Writer};

/// Clients of one engine: more than one, so that a commit group holds several requests.
const CLIENTS: u32 = 4;
/// Cuts per log before a new one is started: enough to recover an already recovered log.
const CUTS_PER_LOG: u64 = 10;
/// Cuts per log before a new log is started: enough that recovery also runs on logs that were recovered before.
const WRITING_MICROS: u64 = 200_000;
/// How long the clients continue after the cut: an acknowledgement in this time would be false.
const AFTER_CUT: Duration = Duration::from_millis(15);
const ROTATED_EVERY: Duration = Duration::from_millis(20);
/// The smallest segments the engine accepts.
const CONFIG: &str = "rotation: {maxSegmentBytes: 1048576}\n";

/// What is cut.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cut {
    /// The power of the volume, and then the process.
    Power(FileSystem),
    /// The process.
    Kill,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::Power(kind) => write!(f, "power cut on {}", kind.name()),
            Cut::Kill => f.write_str("kill -9"),
        }
    }
}

/// A campaign with its engine.
#[derive(Debug)]
pub(super) struct Campaign {
    pub(super) cut: Cut,
    pub(super) cuts: u64,
    pub(super) seed: u64,
    /// True for the control: the engine's syncs do nothing. A campaign that does not detect this proves nothing.
    pub(super) control: bool,
    pub(super) engine: PathBuf,
    /// An empty folder in memory.
    pub(super) place: PathBuf,
}

/// Results of a campaign.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) cuts: u64,
    /// Number of cuts after which the log broke a promise.
    pub(super) flagged: u64,
    acknowledged: u64,
    unanswered: u64,
    vanished: u64,
    refusals: u64,
    torn: u64,
    segments: u64,
    seconds: f64,
    /// The first breaches, each with the cut that preceded it.
    told: Vec<String>,
}

/// Maximum number of breaches printed; later ones are alike.
const TOLD_MAX: usize = 20;

impl Outcome {
    fn flag(&mut self, cut: u64, breaches: &[String]) {
        self.flagged += 1;
        self.told.extend(breaches.iter().map(|breach| format!("cut {cut}: {breach}")));
        self.told.truncate(TOLD_MAX);
    }

    /// Prints readable text, then one line of JSON.
    pub(super) fn print(&self, campaign: &Campaign) {
        for breach in &self.told {
            println!("  {breach}");
        }
        let Outcome {
            cuts,
            flagged,
            acknowledged,
            unanswered,
            vanished,
            refusals,
            torn,
            segments,
            seconds,
            ..
        } = self;
        println!(
            "{}{}, seed {}: {cuts} cuts in {seconds:.0} s, {flagged} flagged; {acknowledged} requests acknowledged, \
             {unanswered} durable without an answer, {refusals} refused; {torn} torn tails, {segments} further segments",
            campaign.cut,
            if campaign.control { ", control without syncs" } else { "" },
            campaign.seed,
        );
        println!(
            "{}",
            json!({"cut": campaign.cut.to_string(), "control": campaign.control, "seed": campaign.seed, "cuts": cuts,
                "flagged": flagged, "acknowledged": acknowledged, "unanswered": unanswered, "vanished": vanished, "refusals": refusals,
                "torn": torn, "segments": segments, "seconds": seconds})
        );
    }
}

/// One log and its clients, from creation to the last cut.
struct Life {
    launch: Launch,
    volume: Option<Volume>,
    ledger: Ledger,
    writers: Vec<Writer>,
    dice: Dice,
}

impl Campaign {
    /// Runs the campaign.
    ///
    /// # Errors
    /// The environment fails. Faults of the log are in the returned outcome, not in the error.
    pub(super) fn run(&self) -> Result<Outcome> {
        let started = Instant::now();
        let mut outcome = Outcome::default();
        let progress = Progress::new(&self.cut.to_string(), self.cuts);
        let lies = if self.control { Some(preload::no_sync(&self.place)?) } else { None };
        let mut log = 0;
        while outcome.cuts < self.cuts {
            let cuts = if self.control { 1 } else { CUTS_PER_LOG.min(self.cuts - outcome.cuts) };
            let mut life = self.begin(log, lies.as_deref())?;
            self.live(&mut life, cuts, &mut outcome, &progress)?;
            outcome.acknowledged += life.ledger.acknowledged;
            outcome.unanswered += life.ledger.unanswered;
            outcome.vanished += life.ledger.vanished;
            outcome.refusals += life.writers.iter().map(|writer| writer.refusals).sum::<u64>();
            let data = &life.launch.data;
            outcome.segments +=
                entries(&data.join("log")).filter(|name| name.contains(".jsonl")).count() as u64 - 1;
            outcome.torn += entries(&data.join("log/torn")).count() as u64;
            drop(life);
            fs::remove_dir_all(self.place.join(log.to_string()))?;
            log += 1;
        }
        outcome.seconds = started.elapsed().as_secs_f64();
        Ok(outcome)
    }

    fn begin(&self, log: u64, lies: Option<&Path>) -> Result<Life> {
        let place = self.place.join(log.to_string());
        fs::create_dir(&place)?;
        let volume = match self.cut {
            Cut::Power(kind) => Some(Volume::make(&place, sandbox::image(&self.place, log), kind)?),
            Cut::Kill => None,
        };
        let data = volume.as_ref().map_or(place.as_path(), Volume::path).join("data");
        fs::create_dir(&data)?;
        // Makes the given folder durable, so that anything a cut loses is the log's fault.
        fs::File::open(&data)?.sync_all()?;
        if let Some(volume) = &volume {
            fs::File::open(volume.path())?.sync_all()?;
        }
        let mut launch = Launch::new(&self.engine, &data);
        let config = place.join("config.yaml");
        fs::write(&config, CONFIG)?;
        launch.config = Some(config);
        if let Some(lies) = lies {
            launch.environment = vec![("LD_PRELOAD".into(), lies.display().to_string())];
        }
        let dice = Dice::new(self.seed).fork(log);
        let load = if log.is_multiple_of(2) { Load::Small } else { Load::Large };
        let writers = (0..CLIENTS).map(|client| Writer::new(client, &dice, load)).collect();
        Ok(Life { launch, volume, ledger: Ledger::default(), writers, dice })
    }

    /// Cuts repeatedly. A log that broke a promise is not used any further.
    fn live(&self, life: &mut Life, cuts: u64, outcome: &mut Outcome, progress: &Progress) -> Result<()> {
        let mut engine = Engine::start(&life.launch)?;
        for _ in 0..cuts {
            let (said, mut breaches) = life.write_and_cut(engine)?;
            outcome.cuts += 1;
            progress.step();
            if said.contains("panicked") {
                breaches.push(format!("panic: {said}"));
            }
            match life.look(&mut breaches) {
                Some(next) if breaches.is_empty() => engine = next,
                _ => {
                    if !self.control {
                        self.keep(life, outcome.cuts)?;
                    }
                    outcome.flag(outcome.cuts, &breaches);
                    return Ok(());
                }
            }
        }
        drop(engine);
        Ok(())
    }

    /// Copies what is left of a log that broke a promise to a place where it can be examined.
    fn keep(&self, life: &Life, cut: u64) -> Result<()> {
        let place = std::env::temp_dir().join(format!("memoryengine-fault-{}-{cut}", self.seed));
        let copied = std::process::Command::new("cp").arg("-a").arg(&life.launch.data).arg(&place).status();
        copied.context("`cp` cannot be started")?;
        println!("cut {cut}: the log is kept in {}", place.display());
        Ok(())
    }
}

impl Life {
    /// Lets the clients write, cuts at a random moment, and brings the volume back.
    fn write_and_cut(&mut self, engine: Engine) -> Result<(String, Vec<String>)> {
        let stop = AtomicBool::new(false);
        let moment = self.dice.micros_below(WRITING_MICROS);
        let Life { volume, writers, .. } = self;
        let (begun, done) = thread::scope(|scope| {
            let engine_ref = &engine;
            let stop = &stop;
            for writer in writers.iter_mut() {
                scope.spawn(move || writer.write(engine_ref, stop));
            }
            scope.spawn(move || rotate(engine_ref, stop));
            sleep(moment);
            let begun = Instant::now();
            let cut = volume.as_ref().map_or(Ok(()), Volume::cut);
            let done = Instant::now();
            if volume.is_some() {
                sleep(AFTER_CUT);
            }
            // Set this also when the cut failed: otherwise the clients continue until the engine is gone.
            stop.store(true, Ordering::Release);
            engine_ref.strike();
            cut.map(|()| (begun, done))
        })?;
        let said = engine.kill();
        let mut breaches = Vec::new();
        for writer in &mut self.writers {
            breaches.extend(writer.surprise.take().map(|answer| format!("unexpected answer: {answer}")));
            for Given { request, mut promise, sent, answered } in writer.promises.drain(..) {
                if self.volume.is_some() {
                    promise.certain = answered < begun;
                    if sent > done {
                        breaches
                            .push(format!("acknowledged without power: request {}/{}", request.0, request.1));
                    }
                }
                self.ledger.promised(request, promise);
            }
        }
        if let Some(volume) = &mut self.volume {
            volume.unmount()?;
            volume.mount()?;
        }
        Ok((said, breaches))
    }

    /// Verifies the log, starts the engine and compares the engine's events with the ledger. Adds what is wrong to
    /// `breaches`. Returns the engine if it serves.
    fn look(&mut self, breaches: &mut Vec<String>) -> Option<Engine> {
        match self.launch.verify() {
            Ok((true, _)) => {}
            Ok((false, report)) => breaches.push(format!("verify: {}", report.trim())),
            Err(fault) => breaches.push(format!("verify: {fault:#}")),
        }
        let read = Engine::start(&self.launch)
            .and_then(|engine| engine.events(self.ledger.after()).map(|found| (engine, found)));
        match read {
            Ok((engine, found)) => {
                breaches.extend(self.ledger.look(&found).iter().map(ToString::to_string));
                Some(engine)
            }
            Err(fault) => {
                breaches.push(format!("{fault:#}"));
                None
            }
        }
    }
}

/// Rotates the log continuously, so that a cut is as likely to hit sealing, compression and signing as writing.
fn rotate(engine: &Engine, stop: &AtomicBool) {
    let Ok(mut admin) = Connection::open(engine.admin) else { return };
    while !stop.load(Ordering::Acquire) && admin.post("/rotate", None, b"{}").is_ok() {
        sleep(ROTATED_EVERY);
    }
}

/// Names in a folder; empty when the folder does not exist.
fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    found.map(|entry| entry.file_name().to_string_lossy().into_owned())
}
