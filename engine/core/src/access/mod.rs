//! Who may do what: scopes, callers, and the format of the engine's keys.

mod scope;

pub use scope::Scope;
