//! The Secrets that a spec refers to.

mod reference;

pub use reference::{EVERY_PROJECT, PREVIOUS, Purpose, Reference, entries, references};
