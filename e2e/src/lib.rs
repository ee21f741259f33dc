//! The local one-node Kubernetes, the images that run on it, and the tests of what is deployed there.
//!
//! `cargo run -p e2e -- cluster up` makes everything it needs: Debian packages, the pinned Go programs (built
//! once per machine), certificates, network, node. What it makes lies in [`paths`], never in the checkout.

pub mod cluster;
mod command;
pub mod demo;
pub mod deploy;
pub mod faults;
pub mod figures;
pub mod images;
mod lock;
pub mod memories;
mod packages;
pub mod paths;
pub mod steps;
#[cfg(test)]
mod tidy;
pub mod tools;
pub mod wait;
