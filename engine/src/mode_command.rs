//! `memory-engine mode` and `memory-engine guard`: asks a running engine for its mode and changes it, and derives past
//! modes from a log.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use engine_core::mode::Mode;
use engine_core::wire::{ForceMode, InvalidateContexts, ModeReport, PersonWantsMode};
use jiff::Timestamp;
use serde_json::{Value, to_value};

use crate::admin_client::{Admin, Method, ask};
use crate::modes::replay_log;
use crate::stdout::{print, print_json};
use crate::token_command::read_token;

/// Default time that a hold lasts, seconds.
const TTL_SECONDS_DEFAULT: u64 = 3_600;

#[derive(Debug, Args)]
pub(crate) struct ModeArgs {
    #[command(subcommand)]
    command: ModeCommand,
    /// Admin port of the running engine, as HOST:PORT
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "MEMORY_ENGINE_ADMIN",
        default_value = "127.0.0.1:8081",
        global = true
    )]
    admin: String,
    /// Directory with tls.crt, tls.key and ca.crt, for an admin port with TLS: a certificate that the engine accepts,
    /// and the authorities that it is verified with
    #[arg(long, value_name = "DIRECTORY", env = "MEMORY_ENGINE_ADMIN_TLS_DIRECTORY", global = true)]
    tls_directory: Option<PathBuf>,
    /// File with the token that the admin port demands
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_ADMIN_TOKEN_FILE", global = true)]
    admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ModeCommand {
    /// Show the mode, why it is what it is, since when and until when, and what reads depend on
    Status {
        /// Print everything that the engine reports, with the last transitions, as JSON
        #[arg(long)]
        json: bool,
    },
    /// Say which mode is wanted, on an engine without an operator; also when mode/mode.json cannot be read
    Want {
        /// The mode
        #[arg(value_enum)]
        mode: ModeWord,
        #[command(flatten)]
        person: PersonArgs,
    },
    /// Allow only this mode for a limited time; it never allows more than what is wanted
    Force {
        /// The widest mode to allow
        #[arg(value_enum)]
        mode: ModeWord,
        #[command(flatten)]
        person: PersonArgs,
        /// How long, seconds; at most a day
        #[arg(long, value_name = "SECONDS", default_value_t = TTL_SECONDS_DEFAULT)]
        ttl: u64,
        /// Replace the hold of somebody else
        #[arg(long)]
        replace: bool,
    },
    /// End a forced mode, whether a person or the guard forced it
    Clear,
    /// Remove the cached answers of a session
    Invalidate {
        /// The session
        session: String,
    },
    /// Reset the counters of failures
    Reset,
}

#[derive(Debug, Args)]
struct PersonArgs {
    /// Why; shown to everybody who asks for the mode
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who
    #[arg(long, value_name = "NAME", env = "USER")]
    by: String,
}

/// A mode on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeWord {
    /// Neither reads nor writes
    Off,
    /// Writes only
    WriteOnly,
    /// Both
    ReadWrite,
    /// Reads only
    ReadOnly,
}

impl From<ModeWord> for Mode {
    fn from(word: ModeWord) -> Mode {
        match word {
            ModeWord::Off => Mode::Off,
            ModeWord::WriteOnly => Mode::WriteOnly,
            ModeWord::ReadWrite => Mode::ReadWrite,
            ModeWord::ReadOnly => Mode::ReadOnly,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    #[command(subcommand)]
    command: GuardCommand,
}

#[derive(Debug, Subcommand)]
enum GuardCommand {
    /// Derive the mode at a past time from the log, and decide every recorded transition again
    ///
    /// Prints one JSON object; works beside a running engine. Exit code 0: every decision came out as recorded. 1: one
    /// did not, and `differing` lists its event. 2: the log could not be read.
    Replay {
        /// The time, RFC 3339
        #[arg(long, value_name = "TIME")]
        at: Timestamp,
        /// Directory with the log
        #[arg(long, value_name = "DIR", env = "MEMORY_ENGINE_DATA")]
        data: PathBuf,
    },
}

/// Runs `memory-engine mode`.
pub(crate) fn run_mode(args: ModeArgs) -> anyhow::Result<()> {
    let ModeArgs { command, admin, tls_directory, admin_token_file } = args;
    let token = admin_token_file.as_deref().map(read_token).transpose()?;
    let admin = Admin { address: &admin, tls_directory: tls_directory.as_deref(), token: token.as_deref() };
    let answer: Value = match command {
        ModeCommand::Status { json } => {
            let report = ask(admin, Method::Get, "/mode", None)?;
            if !json {
                let report: ModeReport =
                    serde_json::from_value(report).context("the engine's answer is not a mode")?;
                return print(&report.summary());
            }
            report
        }
        ModeCommand::Want { mode, person: PersonArgs { reason, by } } => {
            let request = PersonWantsMode { mode: mode.into(), reason, by };
            ask(admin, Method::Post, "/mode/want", Some(&to_value(request)?))?
        }
        ModeCommand::Force { mode, person: PersonArgs { reason, by }, ttl, replace } => {
            let request = ForceMode { mode: mode.into(), reason, by, ttl_seconds: ttl, replace };
            ask(admin, Method::Post, "/mode/force", Some(&to_value(request)?))?
        }
        ModeCommand::Clear => ask(admin, Method::Post, "/mode/clear", None)?,
        ModeCommand::Invalidate { session } => {
            let request = to_value(InvalidateContexts { session })?;
            ask(admin, Method::Post, "/mode/invalidate", Some(&request))?
        }
        ModeCommand::Reset => ask(admin, Method::Post, "/mode/reset", None)?,
    };
    print_json(&answer)
}

/// Runs `memory-engine guard`. Returns whether every decision came out as recorded.
pub(crate) fn run_guard(args: &GuardArgs) -> anyhow::Result<bool> {
    let GuardCommand::Replay { at, data } = &args.command;
    let replay = replay_log(data, *at)?;
    print_json(&replay)?;
    Ok(replay.differing.is_empty())
}
