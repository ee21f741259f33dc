//! The Secrets that a spec refers to: which they are, whether what is in them can be used, and since when it is known.
//!
//! The operator reads them by name where it has permission. It passes no value on: what is found is a fault or none,
//! and two times.

mod ages;
mod examine;
mod fault;
mod reference;
mod strength;
mod view;

pub use ages::{AGES_KEY_BYTES, Ages};
pub use examine::{Finding, Looked, Problem, VALUE_BYTES_MAX, admin_token, age_days, examine, values};
pub use fault::SecretFault;
pub use reference::{
    EVERY_PROJECT, OWNED_TOKEN, PREVIOUS, Purpose, Reference, credential_entries, entries, references,
};
pub use strength::{CHARACTERS_MIN, Weakness, weakness};
pub use view::SecretsView;
