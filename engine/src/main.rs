//! One memory engine: a process that owns one append-only, hash-chained log on one volume and a projection built
//! from it. The log is the truth, the projection is disposable. docs/ARCHITECTURE.md has the map.

mod api;
mod bench;
mod cli;
mod config;
mod doctor;
mod engine;
mod import;
mod log;
mod log_command;
mod mcp;
mod metrics;
mod operations;
mod projection;
mod rebuild;
mod refusal;
mod serve;
mod sources;
mod storage;
mod verify;

fn main() -> std::process::ExitCode {
    cli::run()
}
