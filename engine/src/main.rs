//! One memory engine: a process that owns one append-only, hash-chained log on one volume and a projection built from
//! it. The log is the source of truth; the projection can be rebuilt from it at any time. docs/ARCHITECTURE.md has a
//! map of the code.
//!
//! Commands: [`cli`] parses the command line; [`serve`], [`mcp`], [`log_command`], [`verify`], [`rebuild`], [`doctor`],
//! [`import`], [`config_command`], [`mode_command`], [`token_command`], [`backup_command`], [`drill`] and [`mod@bench`]
//! are the commands,
//! [`admin_client`] asks a running engine; [`config`] reads the configuration.
//!
//! Requests: [`api`] (HTTP) and [`mcp`] call [`operations`], which use one [`engine`]; [`refusal`] converts faults to
//! errors for clients.
//!
//! Access: [`access`] recognises callers, and [`operations`] asks it what they may do.
//!
//! Following: [`following`] makes an engine a reader of the log of another one.
//!
//! Shared parts of an engine: [`policy_gate`], [`pseudonyms`], [`write_locks`], [`cache`], [`causes`],
//! [`certificates`], [`forget_listeners`], [`memory_limit`], [`metrics`], [`modes`], [`spans`],
//! [`stdout`], [`traces`] and [`upkeep_runs`]. [`upkeep`] is work that is asked for on schedules.

mod access;
mod admin_client;
mod api;
mod backup_command;
mod backup_drill;
mod backup_facts;
mod backup_output;
mod bench;
mod cache;
mod canary;
mod causes;
mod certificates;
mod cli;
mod config;
mod config_command;
mod digests;
mod doctor;
mod drill;
mod engine;
mod following;
mod forget_listeners;
mod import;
mod log_command;
mod mcp;
mod memory_limit;
mod metrics;
mod mode_command;
mod modes;
mod operations;
mod policy_gate;
mod pseudonyms;
mod question_record;
mod rebuild;
mod refusal;
mod serve;
mod spans;
mod stdout;
mod termination_log;
mod ticket;
mod token_command;
mod traces;
mod upkeep;
mod upkeep_runs;
mod verify;
mod write_locks;

fn main() -> std::process::ExitCode {
    cli::run()
}
