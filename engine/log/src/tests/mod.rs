//! Tests of the log on a simulated file system with failures and power cuts.

mod copies;
mod faults;
mod simulation;
mod world;
