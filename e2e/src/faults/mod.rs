//! Fault campaigns that need a real kernel: power loss, process kill, failing system calls.
//!
//! Each campaign starts the engine's binary, writes to it, injects faults and then verifies the log against what the
//! clients were promised ([`ledger`]). Each has a control that must fail, so that a clean result is meaningful. A seed
//! reproduces all random choices of a campaign, but not the kernel's scheduling.

mod campaign;
mod dice;
mod drills;
mod engine;
mod errno;
mod fuzz;
mod history;
mod http;
mod ledger;
mod preload;
mod progress;
mod s3;
mod sandbox;
mod session;
mod sites;
mod tamper;
mod volume;
mod writers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use crate::steps::Steps;
use crate::tools;
use campaign::{Campaign, Cut};
use drills::{Away, Drills, Locked};
use errno::Sweep;
use fuzz::Fuzzing;
use tamper::Tampering;
use volume::FileSystem;

/// Percentage of a control's runs that must be flagged.
const CONTROL_PERCENT: u64 = 95;

/// The program of the object store.
const GATEWAY: &str = "versitygw";

/// Environment variable with the path of the engine's binary, set where a script has already built it, as `.ci/test`
/// does.
const ENGINE: &str = "E2E_ENGINE";

/// The fault campaign to run.
#[derive(Debug, Subcommand)]
pub enum Faults {
    /// Cut the power of a volume (shutdown ioctl on a loop device) while clients write
    PowerCut {
        /// File system on the device
        #[arg(long, value_enum)]
        filesystem: FileSystem,
        #[command(flatten)]
        cuts: Cuts,
    },
    /// Kill the process while clients write
    Kill {
        #[command(flatten)]
        cuts: Cuts,
    },
    /// Fail each system call on the data directory, once and permanently (strace)
    Errno {
        /// Number of cases, chosen by the seed [default: all]
        #[arg(long)]
        sample: Option<usize>,
        /// Seed of all random choices
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only cases whose name (as printed for a failure) contains this
        #[arg(long)]
        only: Option<String>,
        /// Permanently failing syncs, with an engine whose syncs do nothing: succeeds when that is detected
        #[arg(long)]
        control: bool,
        /// The engine's binary [default: this checkout's, built first]
        #[arg(long, env = ENGINE)]
        engine: Option<PathBuf>,
    },
    /// Edit a log as an attacker with access to the disk could, and check what an engine that knows the anchor reports
    Tamper {
        /// Starts on an untouched log, none of which may report a fault
        #[arg(long, default_value_t = 300)]
        opens: u64,
        /// The engine's binary [default: this checkout's, built first]
        #[arg(long, env = ENGINE)]
        engine: Option<PathBuf>,
    },
    /// Kill an engine, or a command, at random steps of its archive, and restore from the archive alone
    Drills {
        /// Number of drills
        #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        drills: u64,
        /// Seed of all random choices
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// After each kill the archive loses an event: succeeds when that is detected
        #[arg(long)]
        control: bool,
        /// Where the archives are
        #[arg(long, value_enum, default_value_t = Place::Directory)]
        store: Place,
        /// The engine's binary [default: this checkout's, built first]
        #[arg(long, env = ENGINE)]
        engine: Option<PathBuf>,
    },
    /// Forget everything in an archive whose bucket has object lock and versions, and look for it in every version
    ObjectLock {
        /// Texts that are planted and forgotten
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(3..=100_000))]
        texts: u64,
        /// The engine's binary [default: this checkout's, built first]
        #[arg(long, env = ENGINE)]
        engine: Option<PathBuf>,
    },
    /// Write to an engine whose object store is away, and see that it catches up
    StoreAway {
        /// Seconds without the store
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..=86_400))]
        seconds: u64,
        /// Requests in a second
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        rate: u64,
        /// The engine's binary [default: this checkout's, built first]
        #[arg(long, env = ENGINE)]
        engine: Option<PathBuf>,
    },
    /// Feed malformed bytes to the parsers (libFuzzer), and plant a fault that must be found
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        seconds: u32,
        /// Only targets whose name contains this
        #[arg(long)]
        only: Option<String>,
    },
}

/// Where the archives of drills are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// In directories.
    Directory,
    /// In an S3-compatible object store, which runs beside the engines.
    S3,
}

/// Common options of the campaigns.
#[derive(Debug, Args)]
pub struct Cuts {
    /// Number of cuts
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    cuts: u64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Use an engine whose syncs do nothing: succeeds when that is detected
    #[arg(long)]
    control: bool,
    /// The engine's binary [default: this checkout's, built first]
    #[arg(long, env = ENGINE)]
    engine: Option<PathBuf>,
}

/// Runs a campaign in its own sandbox.
///
/// # Errors
/// The sandbox cannot be created or fails. Faults of the engine give exit code 1.
pub async fn run(what: Faults, steps: &Steps) -> Result<ExitCode> {
    if let Faults::Fuzz { seconds, only } = what {
        let failed = tokio::task::spawn_blocking(move || Fuzzing { seconds, only }.run()).await??;
        return Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if let Faults::Drills { store: Place::S3, .. } | Faults::ObjectLock { .. } | Faults::StoreAway { .. } =
        what
    {
        tools::ensure_module(GATEWAY, steps).await?;
    }
    match sandbox::inside() {
        None => sandbox::enter(steps).await,
        Some(place) => {
            sandbox::settle(&place)?;
            tokio::task::spawn_blocking(move || run_inside(what, place)).await?
        }
    }
}

fn run_inside(what: Faults, place: PathBuf) -> Result<ExitCode> {
    match what {
        Faults::PowerCut { filesystem, cuts } => cut(Cut::Power(filesystem), cuts, place),
        Faults::Kill { cuts } => cut(Cut::Kill, cuts, place),
        Faults::Errno { sample, seed, only, control, engine } => {
            let sweep = Sweep { engine: sandbox::engine(engine)?, place, seed, sample, only, control };
            let swept = sweep.run()?;
            swept.print();
            Ok(exit(control, swept.faulty, swept.cases))
        }
        Faults::Tamper { opens, engine } => {
            let wrong = Tampering { engine: sandbox::engine(engine)?, place, opens }.run()?;
            Ok(exit(false, wrong, 1))
        }
        Faults::Drills { drills, seed, control, store, engine } => {
            let gateway = (store == Place::S3).then(|| tools::program(GATEWAY)).transpose()?;
            let campaign = Drills { drills, seed, control, engine: sandbox::engine(engine)?, gateway, place };
            let outcome = campaign.run()?;
            outcome.print(&campaign);
            Ok(exit(control, outcome.flagged, outcome.drills))
        }
        Faults::ObjectLock { texts, engine } => {
            let gateway = tools::program(GATEWAY)?;
            let breaches = Locked { texts, engine: sandbox::engine(engine)?, gateway, place }.run()?;
            breaches.iter().for_each(|breach| println!("  not so: {breach}"));
            Ok(exit(false, breaches.len() as u64, 1))
        }
        Faults::StoreAway { seconds, rate, engine } => {
            let length = Duration::from_secs(seconds);
            let gateway = tools::program(GATEWAY)?;
            let breaches = Away { length, rate, engine: sandbox::engine(engine)?, gateway, place }.run()?;
            breaches.iter().for_each(|breach| println!("  not so: {breach}"));
            Ok(exit(false, breaches.len() as u64, 1))
        }
        Faults::Fuzz { .. } => unreachable!("fuzzing needs no surroundings"),
    }
}

fn cut(cut: Cut, cuts: Cuts, place: PathBuf) -> Result<ExitCode> {
    let Cuts { cuts, seed, control, engine } = cuts;
    let campaign = Campaign { cut, cuts, seed, control, engine: sandbox::engine(engine)?, place };
    let outcome = campaign.run()?;
    outcome.print(&campaign);
    Ok(exit(control, outcome.flagged, outcome.cuts))
}

/// Returns the exit code: success if a control was detected, or if any other campaign found nothing.
fn exit(control: bool, flagged: u64, of: u64) -> ExitCode {
    let well = if control { flagged * 100 >= of * CONTROL_PERCENT } else { flagged == 0 };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
