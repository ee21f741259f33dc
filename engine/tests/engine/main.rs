//! The real binary on real ports and real files.

mod api;
mod crash;
mod process;
mod projection;
mod volume;
