//! The command line.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use engine_core::configuration::Author;
use engine_core::mode::Mode;
use engine_core::policy::scrubbed;
use hyper::Uri;
use service::{LogLines, ScrubbedStderr, log_panics, selected};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::backup_command::{BackupArgs, run_backup};
use crate::bench::{BenchArgs, bench};
use crate::causes::with_causes;
use crate::config::{ConfigArgs, Sources, Watch};
use crate::config_command::{self, ConfigCommandArgs};
use crate::doctor;
use crate::drill::{DrillArgs, run_drill};
use crate::following::{FollowSettings, LAG_MAX_SECONDS_DEFAULT};
use crate::import::{ImportArgs, import};
use crate::log_command::{self, LogArgs, verify_log};
use crate::mcp::{McpArgs, mcp};
use crate::metrics::Metrics;
use crate::mode_command::{GuardArgs, ModeArgs, ModeWord, run_guard, run_mode};
use crate::modes::InitialMode;
use crate::rebuild::rebuild;
use crate::serve::{Ended, ServeOptions, serve};
use crate::stdout::print_json;
use crate::token_command::{TokenArgs, run_token};
use crate::traces::Traces;

/// Exit code: the check ran and found something broken.
const BROKEN: u8 = 1;
/// Exit code: the command could not run.
const CANNOT_RUN: u8 = 2;

#[derive(Debug, Parser)]
#[command(name = "memory-engine", version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  memory-engine serve --data ./memories
  curl -d '{\"content\":\"The kettle is blue\"}' -H content-type:application/json localhost:8080/v1/memories
  curl 'localhost:8080/v1/search?q=kettle'
  memory-engine verify --data ./memories

Every flag of `serve` but --set is also an environment variable, MEMORY_ENGINE_DATA and so on. Every key of the
configuration is one too, for example MEMORY_ENGINE_LOG_LEVEL: see `memory-engine config explain log.level`.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API on one port, and probes and metrics on another, until SIGTERM or SIGINT
    Serve(ServeArgs),
    /// Check every hash of the log, as `log verify` does; works beside a running engine
    ///
    /// Prints one JSON object. Exit code 0: the log verifies. 1: it does not, and the object reports where. 2: it could
    /// not be read.
    Verify(DataArgs),
    /// Work with the log: list, print, verify and prove events, rotate, forget payloads
    Log(LogArgs),
    /// Rebuild the projection from the log; the engine must not be running
    ///
    /// Prints one JSON object. Exit code 0: done. 2: failed; the reason is on standard error.
    Rebuild(DataArgs),
    /// Check everything in a data directory and report what is wrong and what to do
    ///
    /// Prints lines on a terminal, and one JSON object elsewhere. Works beside a running engine, except with --repair.
    /// Exit code 0: nothing is broken, or everything was repaired. 1: something is broken. 2: the check could not run.
    Doctor(DoctorArgs),
    /// Measure the engine against the limits of this machine; prints a table
    ///
    /// Use a release build. Takes some minutes: each figure is measured in turns with its limit.
    Bench(BenchArgs),
    /// Serve the Model Context Protocol on standard input and output, until the input is closed
    ///
    /// For clients that start their own server. Standard output carries only the protocol; messages go to standard
    /// error. A running engine serves the same protocol at /mcp of its port.
    Mcp(McpArgs),
    /// Import the logs of another product
    Import(ImportArgs),
    /// Show and change what clients of a running engine may do: read, write, both or neither
    Mode(ModeArgs),
    /// Look at the decisions of the guard, which turns reads off when a dependency fails
    Guard(GuardArgs),
    /// Make, list and revoke keys of clients
    Token(TokenArgs),
    /// Take, list, verify and restore backups
    Backup(BackupArgs),
    /// Use a running engine as clients do, and check that it does what it has to do; nothing is left behind
    ///
    /// Exit code 0: every drill passed or was skipped. 1: one failed, and `checks` say why. 2: the command could not
    /// run.
    Drill(DrillArgs),
    /// Check, show and explain the configuration
    Config(ConfigCommandArgs),
}

#[derive(Debug, Args)]
struct DataArgs {
    /// Directory with the log and the projection
    #[arg(long, value_name = "DIR", env = "MEMORY_ENGINE_DATA")]
    data: PathBuf,
}

#[derive(Debug, Args)]
struct DoctorArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Repair what can be repaired: the projection, from the log, and the mode of key files; the engine must not be
    /// running
    #[arg(long)]
    repair: bool,
    /// Print JSON on a terminal too
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    sources: ConfigArgs,
    /// Address of the API; `[::]` listens on all IPv6 and IPv4 addresses, or on IPv4 only if the machine has no IPv6
    #[arg(long, value_name = "ADDRESS", env = "MEMORY_ENGINE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address of /livez, /readyz, /health, /metrics and the other requests of administration
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "MEMORY_ENGINE_ADMIN_LISTEN",
        default_value = "127.0.0.1:8081"
    )]
    admin_listen: SocketAddr,
    /// Address of /livez and /readyz alone, without TLS, for kubelets: they present no certificate
    #[arg(long, value_name = "ADDRESS", env = "MEMORY_ENGINE_PROBE_LISTEN")]
    probe_listen: Option<SocketAddr>,
    /// Address of the API for clients outside of the cluster; it answers only while an operator vouches for that
    ///
    /// The operator delivers a ticket to the admin port, PUT /ticket, again and again.
    #[arg(long, value_name = "ADDRESS", env = "MEMORY_ENGINE_PUBLIC_LISTEN")]
    public_listen: Option<SocketAddr>,
    /// JSON file with the anchor: the state that the log must extend; if it does not, the engine writes nothing to it
    ///
    /// The operator of a cluster passes it. An engine that has one ignores parts of its configuration that it does not
    /// know, and reports them in /health, because an operator may be newer than the engine.
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_ANCHOR")]
    anchor: Option<PathBuf>,
    /// Mode on a volume that has none yet: what clients may do until somebody sets another mode
    ///
    /// On a volume that has one it is not used, and the log says so; `memory-engine mode want` changes the mode then.
    /// Without it: write-only with --anchor, because then an operator will say what is wanted, otherwise read-write.
    #[arg(long, value_name = "MODE", value_enum, env = "MEMORY_ENGINE_MODE")]
    mode: Option<ModeWord>,
    /// Let drills make this engine's calls of the embedding service fail, for at most 60 seconds at a time
    ///
    /// For an engine that clients do not depend on, such as a canary. See `memory-engine drill`.
    #[arg(long, env = "MEMORY_ENGINE_ALLOW_DRILL_FAULTS")]
    allow_drill_faults: bool,
    #[command(flatten)]
    follow: FollowArgs,
}

#[derive(Debug, Args)]
struct FollowArgs {
    /// Follow another engine: URL of its admin port. This engine then has a copy of that log, and serves reads only
    ///
    /// The data directory has to be empty, or have a copy of that log. It can be thrown away at any time.
    #[arg(long, value_name = "URL", env = "MEMORY_ENGINE_FOLLOW", conflicts_with = "anchor")]
    follow: Option<Uri>,
    /// URL of the API of the engine that is followed, to which writes are forwarded; without it they are refused
    #[arg(long, value_name = "URL", env = "MEMORY_ENGINE_FORWARD", requires = "follow")]
    forward: Option<Uri>,
    /// Directory with tls.crt, tls.key and ca.crt: a certificate that the admin port of that engine accepts, and the
    /// authorities that its ports are verified with
    #[arg(long, value_name = "DIRECTORY", env = "MEMORY_ENGINE_FOLLOW_TLS_DIRECTORY", requires = "follow")]
    follow_tls_directory: Option<PathBuf>,
    /// File with the token that the admin port of that engine demands
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_FOLLOW_TOKEN_FILE", requires = "follow")]
    follow_token_file: Option<PathBuf>,
    /// Take the lines from the archive in `backup` of the configuration instead, and only compare them with that engine
    ///
    /// A standby: it shows all the time that the archive can be restored, how long that takes, and what would be lost.
    #[arg(long, env = "MEMORY_ENGINE_FOLLOW_ARCHIVE", requires = "follow")]
    follow_archive: bool,
    /// Age of the state that reads see from which on this engine is not ready, seconds
    #[arg(
        long,
        value_name = "SECONDS",
        env = "MEMORY_ENGINE_FOLLOW_LAG_MAX",
        default_value_t = LAG_MAX_SECONDS_DEFAULT,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    follow_lag_max: u64,
}

impl FollowArgs {
    fn settings(self) -> Option<FollowSettings> {
        Some(FollowSettings {
            admin: self.follow?,
            api: self.forward,
            tls_directory: self.follow_tls_directory,
            token_file: self.follow_token_file,
            lag_max: Duration::from_secs(self.follow_lag_max),
            archive: None,
        })
    }
}

/// Runs the command on the command line.
pub(crate) fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => run_serve(args),
        Command::Mcp(args) => run_mcp(args),
        Command::Import(args) => run_import(&args),
        Command::Config(args) => config_command::run(args).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => verify_log(&args.data).map(exit_code),
        Command::Log(args) => log_command::run(args).map(exit_code),
        Command::Rebuild(args) => run_rebuild(&args.data),
        Command::Doctor(args) => run_doctor(&args),
        Command::Mode(args) => run_mode(args).map(|()| ExitCode::SUCCESS),
        Command::Token(args) => run_token(args).map(|()| ExitCode::SUCCESS),
        Command::Guard(args) => run_guard(&args).map(exit_code),
        Command::Backup(args) => run_backup_command(args),
        Command::Drill(args) => run_drill_command(args),
        Command::Bench(args) => bench(&args).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|fault| {
        eprintln!("memory-engine: {}", scrubbed(&with_causes(&fault)));
        ExitCode::from(CANNOT_RUN)
    })
}

fn run_serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    // On a cluster only the operator passes an anchor, and it has always done so in every pod. The anchor therefore
    // shows who wrote the file. A separate flag would change the pod template, which would restart all engines. An
    // engine that follows has the file of the one that it follows, and no anchor.
    let is_operators = args.anchor.is_some() || args.follow.follow.is_some();
    let author = if is_operators { Author::Operator } else { Author::Person };
    let ServeArgs { data, sources, listen, admin_listen, probe_listen, public_listen, anchor, .. } = args;
    let (mode, allow_drill_faults, follow) = (args.mode, args.allow_drill_faults, args.follow);
    let follows_archive = follow.follow_archive;
    let follow = follow.settings();
    let default = if anchor.is_some() { Mode::WriteOnly } else { Mode::ReadWrite };
    let mode = InitialMode { is_named: mode.is_some(), mode: mode.map_or(default, Mode::from) };
    let sources = Sources::new(sources, author, Some(data.data.clone()));
    let loaded = sources.load()?;
    let config = &loaded.config;
    let metrics = Metrics::new(&config.engine).context("cannot define the metrics")?;
    let traces = Traces::start(&config.tracing, &config.engine, metrics.traces.clone())?;
    let set_level = log_and_trace(config.log_level, traces.as_ref());
    for warning in sources.warnings() {
        tracing::warn!("{warning}");
    }
    let watch = Watch::new(sources, &loaded);
    let data = data.data;
    let places = ServeOptions {
        data,
        listen,
        admin_listen,
        probe_listen,
        public_listen,
        anchor,
        mode,
        allow_drill_faults,
        follow,
        follows_archive,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(places, loaded, watch, metrics, set_level));
    // After the drain, no client waits for a read that is still running.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(traces) = traces {
        traces.stop();
    }
    match served? {
        Ended::Told => Ok(ExitCode::SUCCESS),
        Ended::CopyLeft => Err(begin_again()),
    }
}

/// Replaces this process by one that begins anew, with the same arguments. Nothing of this one is left then: no thread,
/// no open file, and no copy in memory. Returns only if that fails.
fn begin_again() -> anyhow::Error {
    let fault = process::Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).exec();
    anyhow::Error::new(fault).context("the engine cannot begin again by itself: start it again")
}

fn run_mcp(args: McpArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr(tracing::Level::WARN);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(mcp(args));
    // A pending read of standard input cannot be cancelled.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| ExitCode::SUCCESS)
}

fn exit_code(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}

fn run_backup_command(args: BackupArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr(tracing::Level::WARN);
    run_backup(args).map(exit_code)
}

fn run_drill_command(args: DrillArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr(tracing::Level::WARN);
    run_drill(args).map(exit_code)
}

fn run_rebuild(data: &Path) -> anyhow::Result<ExitCode> {
    log_to_stderr(tracing::Level::WARN);
    print_json(&rebuild(data)?)?;
    Ok(ExitCode::SUCCESS)
}

fn run_import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr(tracing::Level::WARN);
    import(args)
}

fn run_doctor(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr(tracing::Level::WARN);
    let report = doctor::doctor(&args.data.data, args.repair)?;
    doctor::print(&report, args.json)?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

/// Crates whose messages are logged at the configured level.
const CRATES: [&str; 7] = [
    "engine_archive",
    "engine_core",
    "engine_log",
    "engine_projection",
    "engine_retrieval",
    "memory_engine",
    "service",
];

/// Logs to standard error: JSON for machines, plain lines on a terminal.
fn log_to_stderr(level: tracing::Level) {
    let _set_level = log_and_trace(level, None);
}

/// Logs as [`log_to_stderr`] does, and sends spans. Returns a function that changes the level of the log.
fn log_and_trace(
    level: tracing::Level,
    traces: Option<&Traces>,
) -> impl Fn(tracing::Level) + Send + Sync + use<> {
    let wanted = |level| selected(&CRATES, level);
    let (filter, handle) = reload::Layer::new(wanted(level));
    let subscriber = tracing_subscriber::registry().with(traces.map(Traces::layer));
    if io::stderr().is_terminal() {
        let lines = tracing_subscriber::fmt::layer().with_writer(|| ScrubbedStderr);
        subscriber.with(lines.with_filter(filter)).init();
    } else {
        subscriber.with(LogLines::new(io::stderr).with_filter(filter)).init();
    }
    log_panics();
    move |level| {
        // This fails only if the subscriber is gone, and then nothing is logged.
        let _set = handle.modify(|filter| *filter = wanted(level));
    }
}
