//! `memory-engine config`: checks, shows and explains the configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine_core::configuration::{Author, explain, shown};

use crate::config::{ConfigArgs, Sources};
use crate::stdout::print;

#[derive(Debug, Args)]
pub(crate) struct ConfigCommandArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the configuration as `serve` would read it: file, environment and flags
    ///
    /// Exit code 0: it is valid. 2: it is not; every fault is on standard error.
    Check {
        /// Configuration in YAML; overrides --config
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        sources: ConfigArgs,
    },
    /// Show every key with its value and where the value comes from; secrets are masked
    Show {
        #[command(flatten)]
        sources: ConfigArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Describe a key: meaning, default, bounds, field of the resource, variable
    Explain {
        /// The key, for example limits.burst
        #[arg(value_name = "KEY")]
        key: String,
    },
}

/// Runs the command.
///
/// # Errors
/// The configuration is not valid, or there is no such key.
pub(crate) fn run(args: ConfigCommandArgs) -> anyhow::Result<()> {
    match args.command {
        ConfigCommand::Check { file, sources } => {
            let config = file.or(sources.config);
            checked(ConfigArgs { config, ..sources })?;
            print("the configuration is valid\n")
        }
        ConfigCommand::Show { sources, json } => show(sources, json),
        ConfigCommand::Explain { key } => print(&explain(&key).map_err(anyhow::Error::msg)?),
    }
}

/// Reads the configuration. Warnings go to standard error.
fn checked(args: ConfigArgs) -> anyhow::Result<crate::config::Loaded> {
    // A configuration of an operator is checked as strictly as that of a person: this command has to find mistakes.
    let sources = Sources::new(args, Author::Person, None);
    for warning in sources.warnings() {
        eprintln!("memory-engine: {warning}");
    }
    Ok(sources.load()?)
}

fn show(args: ConfigArgs, json: bool) -> anyhow::Result<()> {
    let values = shown(&checked(args)?.resolved);
    if json {
        return print(&format!("{}\n", serde_json::to_string_pretty(&values)?));
    }
    let lines = values.iter().map(|one| format!("{} = {}  # {}\n", one.key, one.value, one.origin));
    print(&lines.collect::<String>())
}
