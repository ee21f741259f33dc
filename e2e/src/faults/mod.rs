//! Faults that need a real kernel: the power goes, the process goes, system calls fail.
//!
//! Each campaign starts the engine's binary, writes to it, does its worst and then holds the log against what the
//! clients were promised ([`ledger`]). Each has a control that must fail, so that silence means something. A campaign
//! is repeated by its seed as far as chance goes; when the kernel schedules what, it is not asked to repeat.

mod campaign;
mod dice;
mod engine;
mod errno;
mod fuzz;
mod history;
mod http;
mod ledger;
mod preload;
mod progress;
mod sandbox;
mod session;
mod sites;
mod tamper;
mod volume;
mod writers;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::steps::Steps;
use campaign::{Campaign, Cut};
use errno::Sweep;
use fuzz::Fuzzing;
use tamper::Tampering;
use volume::FileSystem;

/// Of the runs of a control, so many percent must be flagged.
const CONTROL_PERCENT: u64 = 95;

/// Names the engine's binary where a script has built it already, as `.ci/test` has.
const ENGINE: &str = "E2E_ENGINE";

/// What to do to an engine.
#[derive(Debug, Subcommand)]
pub enum Faults {
    /// Cut the power of a volume (shutdown ioctl on a loop device) while clients write
    PowerCut {
        /// What lies on the device
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
    /// Make each system call on the data directory fail, once and for good (strace)
    Errno {
        /// So many cases, chosen by the seed [default: all]
        #[arg(long)]
        sample: Option<usize>,
        /// What chance follows from
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only cases whose name, as a failed one is printed, holds this
        #[arg(long)]
        only: Option<String>,
        /// Syncs that fail for ever, with an engine whose syncs do nothing: succeeds when that is noticed
        #[arg(long)]
        control: bool,
        /// The engine's binary [default: this checkout's, built first]
        #[arg(long, env = ENGINE)]
        engine: Option<PathBuf>,
    },
    /// Edit a log as somebody with the disk could, and hear what the engine says of it when it knows the anchor
    Tamper {
        /// Starts on an untouched log, none of which may be called anything else
        #[arg(long, default_value_t = 300)]
        opens: u64,
        /// The engine's binary [default: this checkout's, built first]
        #[arg(long, env = ENGINE)]
        engine: Option<PathBuf>,
    },
    /// Give the parsers bytes nobody would write (libFuzzer), and plant a fault that has to be found
    Fuzz {
        /// For each target
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        seconds: u32,
        /// Only targets whose name holds this
        #[arg(long)]
        only: Option<String>,
    },
}

/// How often, and how.
#[derive(Debug, Args)]
pub struct Cuts {
    /// How often
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    cuts: u64,
    /// What chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// With an engine whose syncs do nothing: succeeds when that is noticed
    #[arg(long)]
    control: bool,
    /// The engine's binary [default: this checkout's, built first]
    #[arg(long, env = ENGINE)]
    engine: Option<PathBuf>,
}

/// Runs a campaign in surroundings of its own.
///
/// # Errors
/// The surroundings cannot be made or fail; what the engine does wrong is an exit code of 1.
pub async fn run(what: Faults, steps: &Steps) -> Result<ExitCode> {
    if let Faults::Fuzz { seconds, only } = what {
        let failed = tokio::task::spawn_blocking(move || Fuzzing { seconds, only }.run()).await??;
        return Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
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

/// A control has to be noticed; anything else has to show nothing.
fn exit(control: bool, flagged: u64, of: u64) -> ExitCode {
    let well = if control { flagged * 100 >= of * CONTROL_PERCENT } else { flagged == 0 };
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
