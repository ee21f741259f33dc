//! Black-box tests of the operator's decisions. The input is an observed world, the output is a plan or a status.

mod access;
mod admission;
mod anchors;
mod client_keys;
mod configuration_in_force;
mod configurations;
mod exposure;
mod external_services;
mod generations;
mod given_certificates;
mod history;
mod integrity;
mod issuers;
mod metrics;
mod modes;
mod ownership;
mod plans;
mod pods;
mod progress;
mod projections;
mod properties;
mod secrets;
mod spec;
mod statuses;
mod tls;
mod world;
