//! Access control: who sends a request, and what is recorded about it. [`engine_core::access`] decides; this module
//! reads keys, and keeps limits and records. Every operation asks [`Session`] through `operations::gate`.
//!
//! ```text
//! control      the keys in force, and who a request is from
//! credentials  what a request presents
//! issuers      tokens of issuers, and the keys that verify them
//! administration  keys of the engine are listed, made and revoked
//! files        keys in files, which the configuration names
//! stored       keys of the engine itself, on the volume
//! accounts     what requests are counted against
//! attempts     limit of wrong keys
//! rates        limit of requests of one key in one project
//! records      records of decisions, and their metric
//! session      who sends the request that is being handled
//! ```

mod accounts;
mod administration;
mod attempts;
mod control;
#[cfg(test)]
mod control_test;
mod credentials;
mod files;
mod issuers;
mod limiter;
mod rates;
mod records;
mod session;
mod stored;

pub(crate) use control::AccessControl;
pub(crate) use credentials::Credentials;
pub(crate) use issuers::Issuers;
pub(crate) use limiter::Limiter;
pub(crate) use session::{Listener, Session};
pub(crate) use stored::has_stored_keys;
