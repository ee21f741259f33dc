//! What a memory engine decides, as pure functions: no clock, no files, no network, no randomness. Time, ids and
//! random bytes are arguments; the crate `memory-engine` supplies them and acts on the answers.

pub mod wire;
