//! Access control: who sends a request, and what is recorded about it. [`engine_core::access`] decides; this module
//! reads keys, and keeps limits and records. Every operation asks [`Session`] through `operations::gate`.
//!
//! ```text
//! control      the keys in force, and who a request is from
//! files        keys in files, which the configuration names
//! stored       keys of the engine itself, on the volume
//! attempts     limit of wrong keys
//! rates        limit of requests of one key in one project
//! records      records of decisions, and their metric
//! session      who sends the request that is being handled
//! ```

mod attempts;
mod control;
mod files;
mod limiter;
mod rates;
mod records;
mod session;
mod stored;

pub(crate) use control::{AccessControl, Credentials};
pub(crate) use session::Session;
pub(crate) use stored::has_stored_keys;
