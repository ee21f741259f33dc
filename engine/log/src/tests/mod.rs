//! The log on a file system that fails, forgets and loses power.

mod faults;
mod simulation;
mod world;
