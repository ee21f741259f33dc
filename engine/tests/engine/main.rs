//! The real binary on real ports and real files.
#![expect(clippy::unwrap_used, reason = "a failing unwrap fails the test, which is what it is for")]

mod api;
mod bench;
mod crash;
mod doctor;
mod import;
mod log;
mod process;
mod projection;
mod providers;
mod services;
mod validity;
mod volume;
mod zaxy;
