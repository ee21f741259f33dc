//! Fails every system call on the data directory: once, and permanently.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::dice::Dice;
use super::engine::Launch;
use super::preload;
use super::progress::Progress;
use super::session::{Ending, Script, Session};
use super::sites::{self, Site, Sites};

/// Number of sessions that run at a time: a session waits more than it computes.
const AT_ONCE: usize = 8;
/// How many times in a row a call is interrupted. A caller repeats an interrupted call. An occasional signal is normal,
/// an endless series is not.
const INTERRUPTED: u64 = 20;
/// The session that creates the log for the scenarios that start with a log.
const BEFORE: Script = Script { client: 0, rotates: false };

/// Initial state of the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scenario {
    /// An empty directory.
    Fresh,
    /// A log that was stopped cleanly, and its projection.
    Kept,
    /// A log with an unfinished write at its end and no projection: recovery and rebuild.
    Torn,
}

impl Scenario {
    fn script(self) -> Script {
        Script { client: 1, rotates: self == Scenario::Fresh }
    }
}

const SCENARIOS: [Scenario; 3] = [Scenario::Fresh, Scenario::Kept, Scenario::Torn];

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// The nth call fails with this error.
    Once(&'static str),
    /// The nth call and every later call fail with this error.
    Ever(&'static str),
    /// The nth call and the calls after it are interrupted, [`INTERRUPTED`] times in all.
    Interrupted,
    /// The nth write (0: every write) writes only half of its bytes. This applies to every file, not to one site.
    Short,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Once(error) => write!(f, "{error} once"),
            Failure::Ever(error) => write!(f, "{error} for ever"),
            Failure::Interrupted => write!(f, "EINTR, {INTERRUPTED} times"),
            Failure::Short => f.write_str("short write"),
        }
    }
}

const FAILURES: [Failure; 7] = [
    Failure::Once("EIO"),
    Failure::Ever("EIO"),
    Failure::Once("ENOSPC"),
    Failure::Ever("ENOSPC"),
    Failure::Once("EMFILE"),
    Failure::Ever("EMFILE"),
    Failure::Interrupted,
];

/// The fault of one session.
#[derive(Debug, Clone)]
pub(super) struct Case {
    scenario: Scenario,
    site: Site,
    failure: Failure,
    nth: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} {} at {}", self.scenario, self.site, self.failure, self.nth)
    }
}

impl Case {
    /// Returns true if nothing can be acknowledged at the end of the session, because no write can reach the disk.
    fn forbids_the_end(&self) -> bool {
        let durable = ["fdatasync", "fsync", "pwrite64", "write"].contains(&self.site.call.as_str());
        // A session on `Scenario::Fresh` rotates the log and continues in another segment file.
        durable
            && self.site.is_segment()
            && self.scenario != Scenario::Fresh
            && matches!(self.failure, Failure::Ever(_))
    }

    fn wrapper(&self, data: &Path) -> Vec<String> {
        let Case { site, nth, .. } = self;
        match self.failure {
            Failure::Once(error) => sites::failing(site, data, error, &nth.to_string()),
            Failure::Ever(error) => sites::failing(site, data, error, &format!("{nth}+")),
            Failure::Interrupted => {
                sites::failing(site, data, "EINTR", &format!("{nth}..{}", nth + INTERRUPTED))
            }
            Failure::Short => Vec::new(),
        }
    }
}

/// The sweep over all faults.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) engine: PathBuf,
    pub(super) place: PathBuf,
    pub(super) seed: u64,
    /// Number of cases to run, chosen by the seed; `None` runs all cases.
    pub(super) sample: Option<usize>,
    /// Only cases whose name contains this.
    pub(super) only: Option<String>,
    /// Runs only the cases after which nothing may be acknowledged, with an engine whose syncs do nothing.
    pub(super) control: bool,
}

/// Results of the sweep.
#[derive(Debug, Default)]
pub(super) struct Swept {
    pub(super) cases: u64,
    /// Cases with a fault.
    pub(super) faulty: u64,
    rows: BTreeMap<(String, String), BTreeMap<Ending, u64>>,
    /// The longest recovery, and its case.
    slowest: Option<(Duration, String)>,
}

impl Sweep {
    /// Finds the sites and runs the cases.
    ///
    /// # Errors
    /// The environment fails.
    pub(super) fn run(&self) -> Result<Swept> {
        let mut cases = Vec::new();
        for scenario in SCENARIOS {
            self.prepare(scenario)?;
            let sites = self.watch(scenario)?;
            println!("{scenario:?}: {} sites, {} passes", sites.len(), sites.values().sum::<u64>());
            cases.extend(self.cases(scenario, &sites));
        }
        let cases = self.chosen(cases);
        if cases.is_empty() {
            bail!("no case matches");
        }
        let progress = Mutex::new(Progress::new("system calls", cases.len() as u64));
        let (next, swept, broken) = (AtomicUsize::new(0), Mutex::new(Swept::default()), Mutex::new(None));
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        match self.session(case) {
                            Ok(session) => locked(&swept).add(case, &session),
                            Err(fault) => *locked(&broken) = Some(fault.context(case.to_string())),
                        }
                        locked(&progress).step();
                    }
                });
            }
        });
        match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(fault) => Err(fault),
            None => Ok(swept.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// The directory that sessions of this scenario are copied from.
    fn template(&self, scenario: Scenario) -> PathBuf {
        self.place.join(format!("{scenario:?}"))
    }

    fn prepare(&self, scenario: Scenario) -> Result<()> {
        let data = self.template(scenario);
        fs::create_dir(&data)?;
        if scenario == Scenario::Fresh {
            return Ok(());
        }
        let session = Session::run(&Launch::new(&self.engine, &data), BEFORE)?;
        if !session.is_clean() {
            bail!("the baseline run without injected faults failed: {session:?}");
        }
        if scenario == Scenario::Torn {
            let newest = fs::read_dir(data.join("log"))?.flatten().map(|entry| entry.path());
            let newest = newest.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")).max();
            let newest = newest.context("a log without segment")?;
            let mut torn = fs::read(&newest)?;
            torn.extend_from_slice(br#"{"event":{"seq":"#);
            fs::write(newest, torn)?;
            fs::remove_dir_all(data.join("projection"))?;
        }
        Ok(())
    }

    /// Copies the scenario's directory for one session.
    fn copy(&self, scenario: Scenario) -> Result<PathBuf> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let place = self.place.join(format!("session-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let copied =
            std::process::Command::new("cp").arg("-a").arg(self.template(scenario)).arg(&place).status();
        if !copied.context("`cp` cannot be started")?.success() {
            bail!("the data cannot be copied");
        }
        Ok(place)
    }

    fn watch(&self, scenario: Scenario) -> Result<Sites> {
        let (data, trace) = (self.copy(scenario)?, self.place.join(format!("{scenario:?}.trace")));
        let launch = Launch { wrapper: sites::watching(&trace), ..Launch::new(&self.engine, &data) };
        let session = Session::run(&launch, scenario.script())?;
        if !session.is_clean() {
            bail!("the engine does not work under strace: {session:?}");
        }
        let sites = sites::read(&trace, &data)?;
        fs::remove_dir_all(data)?;
        Ok(sites)
    }

    fn cases(&self, scenario: Scenario, sites: &Sites) -> Vec<Case> {
        let mut cases = Vec::new();
        for (site, passes) in sites {
            for nth in 1..=*passes {
                let case = |failure| Case { scenario, site: site.clone(), failure, nth };
                cases.extend(FAILURES.map(case));
            }
        }
        let writes = sites.iter().filter(|(site, _)| site.call.contains("write"));
        let writes: u64 = writes.map(|(_, passes)| passes).sum();
        let site = Site { call: "write".into(), path: "*".into() };
        cases.extend((0..=writes).map(|nth| Case {
            scenario,
            site: site.clone(),
            failure: Failure::Short,
            nth,
        }));
        cases
    }

    fn chosen(&self, mut cases: Vec<Case>) -> Vec<Case> {
        if self.control {
            cases.retain(|case| case.forbids_the_end() && case.site.call.contains("sync"));
        }
        if let Some(only) = &self.only {
            cases.retain(|case| case.to_string().contains(only));
        }
        match self.sample {
            Some(count) => Dice::new(self.seed).sample(cases, count),
            None => cases,
        }
    }

    fn session(&self, case: &Case) -> Result<Session> {
        let data = self.copy(case.scenario)?;
        let mut launch = Launch { wrapper: case.wrapper(&data), ..Launch::new(&self.engine, &data) };
        if case.failure == Failure::Short {
            launch.environment = preload::short_write(&self.place, case.nth)?;
        }
        if self.control {
            launch.environment = vec![("LD_PRELOAD".into(), preload::no_sync(&data)?.display().to_string())];
        }
        let mut session = Session::run(&launch, case.scenario.script())?;
        let acknowledged = matches!(session.ending, Ending::Acknowledged | Ending::Recovered);
        if acknowledged && case.forbids_the_end() {
            session.faults.push("acknowledged although nothing can be made durable".into());
        }
        fs::remove_dir_all(data)?;
        Ok(session)
    }
}

impl Swept {
    fn add(&mut self, case: &Case, session: &Session) {
        self.cases += 1;
        let row = (case.site.call.clone(), case.failure.to_string());
        *self.rows.entry(row).or_default().entry(session.ending).or_default() += 1;
        if matches!(session.ending, Ending::Recovered | Ending::Lifted) {
            let recovered = Some((session.recovery, case.to_string()));
            self.slowest = self.slowest.take().max(recovered);
        }
        self.faulty += u64::from(!session.faults.is_empty());
        for fault in &session.faults {
            // Printed immediately: a complete sweep takes an hour.
            println!("  {case}: {fault}");
        }
    }

    /// The table of outcomes.
    pub(super) fn print(&self) {
        let words = Ending::ALL.map(|ending| format!("{:>14}", ending.to_string()));
        println!("{:<18} {:<18}{}", "call", "failure", words.concat());
        for ((call, failure), endings) in &self.rows {
            let counts =
                Ending::ALL.map(|ending| format!("{:>14}", endings.get(&ending).copied().unwrap_or(0)));
            println!("{call:<18} {failure:<18}{}", counts.concat());
        }
        if let Some((recovery, case)) = &self.slowest {
            println!("longest recovery: {:.1} s ({case})", recovery.as_secs_f64());
        }
        println!("{} cases, {} faulty", self.cases, self.faulty);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
