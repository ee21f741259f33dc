//! The command line.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use engine_core::configuration::Author;
use serde::Serialize;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::bench::{BenchArgs, bench};
use crate::config::{self, Config};
use crate::doctor;
use crate::import::{ImportArgs, import};
use crate::log_command::{self, LogArgs, verify_log};
use crate::mcp::{McpArgs, mcp};
use crate::rebuild::rebuild;
use crate::serve::{Places, serve};

/// The check ran and found something broken.
const BROKEN: u8 = 1;
/// The command could not do its work.
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

Every flag of `serve` is also an environment variable, MEMORY_ENGINE_DATA and so on.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API on one port, probes and metrics on another, until SIGTERM
    Serve(ServeArgs),
    /// The same as `log verify`: check every hash; works beside a running engine
    ///
    /// Prints one JSON object. Exit code 0: the log verifies. 1: it does not, and the object says where. 2: it could
    /// not be read.
    Verify(DataArgs),
    /// Look at the log, check it, prove something of it, rotate it, forget payloads
    Log(LogArgs),
    /// Build the projection anew from the log; the engine must not be running
    ///
    /// Prints one JSON object. Exit code 0: done. 2: not done, the reason is on standard error.
    Rebuild(DataArgs),
    /// Look at everything in a data directory and say what is wrong and what to do
    ///
    /// Prints lines at a terminal, else one JSON object. Works beside a running engine, without --repair. Exit code 0:
    /// nothing is broken, or it was repaired. 1: something is broken. 2: the check could not be done.
    Doctor(DoctorArgs),
    /// Measure the engine beside the limits of this machine; prints a table
    ///
    /// Needs a release build to mean anything, and some minutes: each figure is measured in turns with its limit.
    Bench(BenchArgs),
    /// Serve the Model Context Protocol on standard input and output, until the input is closed
    ///
    /// For clients that start a server of their own. Standard output belongs to the protocol, messages are on standard
    /// error. An engine that runs serves the same at /mcp of its port.
    Mcp(McpArgs),
    /// Import the logs of another product
    Import(ImportArgs),
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
    /// Build what is broken and can be built: the projection, from the log; the engine must not be running
    #[arg(long)]
    repair: bool,
    /// Print JSON at a terminal too
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Configuration in YAML; every key is optional
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_CONFIG")]
    config: Option<PathBuf>,
    /// Address of the API; [::] is every address of both families, and of IPv4 alone where there is no IPv6
    #[arg(long, value_name = "ADDRESS", env = "MEMORY_ENGINE_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address of /livez, /readyz, /health and /metrics
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "MEMORY_ENGINE_ADMIN_LISTEN",
        default_value = "127.0.0.1:8081"
    )]
    admin_listen: SocketAddr,
    /// What the log must extend, as JSON; it is not written to otherwise
    ///
    /// The operator of a cluster gives it. An engine that has one leaves out what it does not know of its
    /// configuration, and reports it in /health, because an operator may be newer than the engine.
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_ANCHOR")]
    anchor: Option<PathBuf>,
}

/// Runs the command that was asked for.
pub(crate) fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => run_serve(args),
        Command::Mcp(args) => run_mcp(args),
        Command::Import(args) => run_import(&args),
        Command::Verify(args) => verify_log(&args.data).map(exit_code),
        Command::Log(args) => log_command::run(args).map(exit_code),
        Command::Rebuild(args) => run_rebuild(&args.data),
        Command::Doctor(args) => run_doctor(&args),
        Command::Bench(args) => bench(&args).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|fault| {
        eprintln!("memory-engine: {fault:#}");
        ExitCode::from(CANNOT_RUN)
    })
}

fn run_serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    // On a cluster the operator, and nobody else, gives an anchor. It has done so in every pod, so that the author of
    // the file is known without a change of the pod template, which would restart engines.
    let author = if args.anchor.is_some() { Author::Operator } else { Author::Person };
    let load = |path: &Path| config::load(path, author);
    let config = args.config.as_deref().map_or_else(|| Ok(Config::default()), load)?;
    log_to_stderr(config.log_level);
    let ServeArgs { data, listen, admin_listen, anchor, .. } = args;
    let places = Places { data: data.data, listen, admin_listen, anchor };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(places, config));
    // A read that outlived the drain has nobody left to answer to.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| ExitCode::SUCCESS)
}

fn run_mcp(args: McpArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr(tracing::Level::WARN);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(mcp(args));
    // A read of standard input that is still waiting cannot be called off.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| ExitCode::SUCCESS)
}

fn exit_code(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}

fn run_rebuild(data: &Path) -> anyhow::Result<ExitCode> {
    log_to_stderr(tracing::Level::WARN);
    print(&rebuild(data)?)?;
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

fn print(report: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(io::stdout().lock(), report)?;
    println!();
    Ok(())
}

/// JSON for machines, lines for a person at a terminal.
fn log_to_stderr(level: tracing::Level) {
    // The MCP library writes whole messages to its log, and what is in a memory is nobody's to read there.
    let wanted = Targets::new().with_default(level).with_target("rmcp", tracing::Level::ERROR);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let subscriber = tracing_subscriber::registry();
    if io::stderr().is_terminal() {
        subscriber.with(lines.with_filter(wanted)).init();
    } else {
        subscriber.with(lines.json().flatten_event(true).with_filter(wanted)).init();
    }
}
