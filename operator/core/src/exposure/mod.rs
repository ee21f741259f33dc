//! Public exposure: which checks must hold before clients outside of the cluster reach an engine, and what follows when
//! one of them does not.
//!
//! [`checks`] compares the spec and the conditions with what is required. [`decide`] derives from the findings whether
//! the pod may be reached ([`Decision::is_published`]) and whether the outside objects exist
//! ([`Decision::objects`]). Both are pure, so a manifest is judged in the same way without a cluster.

mod checks;
mod decide;
mod front_door;
#[cfg(test)]
mod tests;

pub use checks::{Check, Finding, Seen, checks, condition_findings, spec_findings};
pub use decide::{Decision, Objects, decide};
pub use front_door::{FrontDoor, GatewayView, addresses};
