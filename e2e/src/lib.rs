//! The local one-node Kubernetes cluster, the images that run on it, and the tests of the deployed system.
//!
//! `cargo run -p e2e -- cluster up` prepares everything it needs: Debian packages, the pinned Go programs (built once
//! per machine), certificates, network, node. Its files lie in [`paths`], never in the checkout.

pub mod archived;
pub mod canary_demo;
pub mod cert_manager;
pub mod checkov;
pub mod cluster;
mod command;
pub mod demo;
pub mod deploy;
pub mod faults;
pub mod figures;
pub mod guide_commands;
pub mod images;
pub mod ingress_controller;
mod lock;
pub mod memories;
pub mod model_server;
pub mod network_policy;
pub mod object_store;
mod packages;
pub mod paths;
pub mod rehearsal;
pub mod rotations;
pub mod secure_demo;
pub mod steps;
#[cfg(test)]
mod tidy;
pub mod tools;
pub mod wait;
