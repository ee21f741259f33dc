//! Black-box tests of the operator's decisions: worlds go in, plans and statuses come out.

mod access;
mod admission;
mod anchors;
mod configurations;
mod generations;
mod history;
mod integrity;
mod metrics;
mod ownership;
mod plans;
mod pods;
mod progress;
mod projections;
mod properties;
mod spec;
mod statuses;
mod world;
