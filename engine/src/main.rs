//! One memory engine: a process that owns one append-only, hash-chained log on one volume and a projection built
//! from it. The log is the truth, the projection is disposable. docs/ARCHITECTURE.md has the map.

mod api;
mod bench;
mod cache;
mod cli;
mod config;
mod doctor;
mod engine;
mod forgotten;
mod import;
mod log_command;
mod mcp;
mod memory_limit;
mod metrics;
mod operations;
mod policy_gate;
mod pseudonyms;
mod rebuild;
mod refusal;
mod serve;
mod verify;
mod write_locks;

fn main() -> std::process::ExitCode {
    cli::run()
}
