//! Arguments that several imports share, and the output of their reports.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use engine_core::limits::PROJECT_DEFAULT;
use serde::Serialize;

use super::target::Target;
use crate::stdout::print;
use crate::token_command::read_token;

/// Exit code: something was refused, or does not verify.
pub(super) const REFUSED: u8 = 1;

#[derive(Debug, Args)]
pub(super) struct PeerArgs {
    /// File to import, or the directory that contains the store
    #[arg(long, value_name = "PATH")]
    pub(super) from: PathBuf,
    #[command(flatten)]
    pub(super) target: TargetArgs,
    /// Project for everything that is imported
    #[arg(long, value_name = "NAME", default_value = PROJECT_DEFAULT)]
    pub(super) project: String,
    /// Read and report only; write nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Write the report to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct TargetChoice {
    /// URL of a running engine, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub(super) to: Option<String>,
    /// Data directory of a stopped engine
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    #[command(flatten)]
    choice: TargetChoice,
    /// File with the key that the running engine is asked with
    #[arg(long, value_name = "FILE", env = "MEMORY_ENGINE_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// How long the engine may be unavailable or busy before the command fails
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub(super) patience: u64,
}

impl TargetArgs {
    pub(super) fn open(&self) -> anyhow::Result<Target> {
        let patience = Duration::from_secs(self.patience);
        match (&self.choice.to, &self.choice.data) {
            (Some(url), None) => {
                let token = self.token_file.as_deref().map(read_token).transpose()?;
                Target::running(url, token.as_deref(), patience)
            }
            (None, Some(data)) => Target::stopped(data, patience),
            _ => bail!("pass --to URL for a running engine, or --data DIR for a stopped one"),
        }
    }
}

pub(super) fn publish(report: &impl Serialize, file: Option<&std::path::Path>) -> anyhow::Result<()> {
    let text = format!("{}\n", serde_json::to_string_pretty(report)?);
    match file {
        Some(file) => fs::write(file, text).with_context(|| format!("cannot write the report {file:?}")),
        None => print(&text),
    }
}
