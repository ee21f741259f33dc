//! `memory-engine log`: lists, prints and verifies a log, makes receipts, rotates segments and keys, and erases
//! payloads.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use engine_core::digest::Hash;
use engine_core::format::EventLine;
use engine_core::wire::InclusionAnswer;
use serde_json::value::RawValue;

use crate::admin_client::{Admin, Method, ask};
use crate::rebuild::rebuild;
use crate::stdout::{print, print_json, written};
use crate::token_command::read_token;
use crate::verify::verify;
use engine_log::storage::DiskStorage;
use engine_log::{
    Offline, SegmentView, list_segments, stored_checkpoint, stored_envelope, stored_inclusion, write_lines,
};

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
    /// Directory with the log
    #[arg(long, value_name = "DIR", env = "MEMORY_ENGINE_DATA", global = true)]
    data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// List the segments: a table on a terminal, JSON elsewhere
    Ls,
    /// Print events as they are stored, one line each
    Cat {
        /// Start after the event with this sequence number
        #[arg(long, value_name = "SEQ", default_value_t = 0)]
        after: u64,
        /// Maximum number of events
        #[arg(long, value_name = "COUNT", default_value_t = u64::MAX)]
        limit: u64,
    },
    /// Check every hash, two segments at a time; works beside a running engine
    ///
    /// Prints one JSON object with everything that is wrong. Exit code 0: the log verifies. 1: it does not. 2: it could
    /// not be read.
    Verify,
    /// Print a receipt: the proof that an event is in the log of the newest checkpoint on the disk
    Proof {
        /// Sequence number of the event
        seq: u64,
    },
    /// Seal the current segment and start a new one
    Rotate(AdminArgs),
    /// Sign checkpoints with a new key from now on, and with both until an anchor shows that its keeper knows that
    RotateKey(AdminArgs),
    /// Forget payloads for good, in the log and in the projection, which is rebuilt; the engine must not be running
    ///
    /// Appends an event that records this first. If the command is interrupted, run it again.
    Erase {
        /// Id of an event whose payload is to be forgotten; can be given more than once
        #[arg(long = "event", value_name = "ID", required = true)]
        events: Vec<String>,
        /// The reason, which is recorded in the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Args)]
struct AdminArgs {
    /// Admin port of the running engine, as HOST:PORT; without it the engine must not be running
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Directory with tls.crt, tls.key and ca.crt, for an admin port with TLS: a certificate that the engine accepts,
    /// and the authorities that it is verified with
    #[arg(long, value_name = "DIRECTORY", env = "MEMORY_ENGINE_ADMIN_TLS_DIRECTORY", requires = "admin")]
    tls_directory: Option<PathBuf>,
    /// File with the token that the admin port demands
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_ADMIN_TOKEN_FILE", requires = "admin")]
    admin_token_file: Option<PathBuf>,
}

impl AdminArgs {
    /// Sends a request without a body to the running engine, if one is named, and prints the response. Returns whether
    /// one is named.
    fn ask(&self, path: &str) -> anyhow::Result<bool> {
        let AdminArgs { admin, tls_directory, admin_token_file } = self;
        let Some(address) = admin else { return Ok(false) };
        let token = admin_token_file.as_deref().map(read_token).transpose()?;
        let admin = Admin { address, tls_directory: tls_directory.as_deref(), token: token.as_deref() };
        print_json(&ask(admin, Method::Post, path, None)?)?;
        Ok(true)
    }
}

/// Runs the command. Returns false if the command found something broken.
pub(crate) fn run(args: LogArgs) -> anyhow::Result<bool> {
    let LogArgs { command, data } = args;
    let is_done = match &command {
        LogCommand::Rotate(admin) => admin.ask("/rotate")?,
        LogCommand::RotateKey(admin) => admin.ask("/rotate-key")?,
        _ => false,
    };
    if is_done {
        return Ok(true);
    }
    let data = data.context("--data DIR is required")?;
    match command {
        LogCommand::Ls => ls(&data)?,
        LogCommand::Cat { after, limit } => cat(&data, after, limit)?,
        LogCommand::Verify => return verify_log(&data),
        LogCommand::Proof { seq } => print_json(&receipt(&data, seq)?)?,
        LogCommand::Rotate(_) => {
            let mut log = Offline::open(&data)?;
            print_json(&log.rotate()?)?;
            log.close();
        }
        LogCommand::RotateKey(_) => {
            let mut log = Offline::open(&data)?;
            print_json(&log.rotate_key()?)?;
            log.close();
        }
        LogCommand::Erase { events, reason } => erase(&data, events, &reason)?,
    }
    Ok(true)
}

/// Verifies a log and prints the report. Returns whether the log verifies.
pub(crate) fn verify_log(data: &Path) -> anyhow::Result<bool> {
    let report = verify(data).map_err(|fault| anyhow::anyhow!("cannot read the log in {data:?}: {fault}"))?;
    print_json(&report)?;
    Ok(report.ok)
}

fn ls(data: &Path) -> anyhow::Result<()> {
    let segments = list_segments(&DiskStorage::new(data.to_owned())).context("cannot read the log")?;
    if !io::stdout().is_terminal() {
        return print_json(&segments);
    }
    let mut lines = format!(
        "{:<30} {:>8} {:>6} {:>12} {:>12} {:>13}\n",
        "file", "segment", "epoch", "first", "last", "bytes"
    );
    for SegmentView { file, segment, epoch, first_seq, last_seq, bytes, .. } in segments {
        let last = last_seq.map_or_else(|| "open".to_owned(), |last| last.to_string());
        lines += &format!("{file:<30} {segment:>8} {epoch:>6} {first_seq:>12} {last:>12} {bytes:>13}\n");
    }
    print(&lines)
}

fn cat(data: &Path, after: u64, limit: u64) -> anyhow::Result<()> {
    let storage = DiskStorage::new(data.to_owned());
    written(|out| write_lines(&storage, after, limit, out).map(drop)).context("cannot read the log")
}

fn receipt(data: &Path, seq: u64) -> anyhow::Result<InclusionAnswer> {
    let storage = DiskStorage::new(data.to_owned());
    let (note, checkpoint) =
        stored_checkpoint(&storage).context("cannot read the checkpoint in log/checkpoint")?;
    let size = checkpoint.size;
    ensure!(
        (1..=size).contains(&seq),
        "the newest checkpoint on the disk covers {size} events; a running engine has newer ones: GET /v1/log/proof/{seq}"
    );
    let mut line = Vec::new();
    write_lines(&storage, seq - 1, 1, &mut line).context("cannot read the event")?;
    let event = EventLine::decode(line.trim_ascii_end()).context("the event cannot be read")?;
    let proof = stored_inclusion(&storage, seq, size).context("cannot read log/tree")?;
    let envelope = stored_envelope(&line).context("the event cannot be read")?;
    Ok(InclusionAnswer {
        seq,
        envelope: RawValue::from_string(envelope)?,
        hash: event.hash.to_string(),
        index: seq - 1,
        size,
        proof: proof.unwrap_or_default().iter().map(Hash::to_string).collect(),
        checkpoint: note,
    })
}

fn erase(data: &Path, events: Vec<String>, reason: &str) -> anyhow::Result<()> {
    ensure!(!reason.trim().is_empty(), "the reason must not be empty");
    let mut log = Offline::open(data)?;
    let erased = log.erase(&events.into_iter().collect::<BTreeSet<_>>(), reason)?;
    log.close();
    rebuild(data).context(
        "the payloads are gone from the log; the search index still has them: run `memory-engine rebuild`",
    )?;
    print_json(&erased)
}
