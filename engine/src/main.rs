//! One memory engine: a process that owns one append-only, hash-chained log on one volume and a projection built
//! from it. The log is the truth, the projection is disposable. docs/ARCHITECTURE.md has the map.

mod api;
mod bench;
mod cache;
mod cli;
mod client;
mod config;
mod doctor;
mod embeddings;
mod engine;
mod forgotten;
mod import;
mod listen;
mod log;
mod log_command;
mod mcp;
mod memory;
mod metrics;
mod operations;
mod projection;
mod providers;
mod pseudonyms;
mod rebuild;
mod refusal;
mod retrieval;
mod serve;
mod sources;
mod storage;
mod verify;
mod writing;

fn main() -> std::process::ExitCode {
    cli::run()
}
