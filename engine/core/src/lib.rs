//! The logic of a memory engine as pure functions: no clock, no files, no network, no randomness. Time, ids and random
//! bytes are arguments; the crate `memory-engine` supplies them and acts on the results.
//!
//! Modules:
//!
//! * Log: [`mod@format`] encodes and decodes it (specified in docs/FORMAT.md), [`recovery`] verifies an existing log,
//!   [`merkle`], [`note`] and [`checkpoint`] commit to its state in a few signed bytes, [`anchor`] compares it with
//!   checkpoints recorded elsewhere, [`frames`] locates data in compressed segments, and [`following`] decides what an
//!   engine that has a copy does with the lines of another one.
//! * Projection: [`fold`] turns events into rows, with [`item`] and [`graph`] for their events.
//! * Search: [`documents`] cuts texts into memories, [`embedding`] computes their vectors, [`retrieval`] ranks them,
//!   and [`query`] turns user input into a full-text query.
//! * Modes: [`mode`] is what clients may do, and [`guard`] turns reads off when a dependency fails.
//! * Access: [`access`] decides who may do what, and [`issuer`] which tokens of identity providers are accepted.
//! * Configuration: [`configuration`] is the schema of the configuration file, [`limits`] all limits, [`metrics`] all
//!   metrics.
//! * Rules: [`policy`] decides what may be written, [`identity`] lists the identifiers, [`forgetting`] and
//!   [`retention`] decide what is removed.
//! * Requests: [`request`] is the only code that handles unvalidated requests, [`arguments`] adapts a model's input to
//!   a tool, [`parts`] splits large tool results, and [`rpc`] recovers the id of an unreadable request.
//! * Observation: [`trace_context`] parses the identifiers that connect the log lines and traces of one request, and
//!   [`status_page`] shows the state of an engine to people.
//! * Rollouts: [`rollout`] counts pairs of answers of two revisions.
//! * Trust: [`certificate`] reads what a certificate says.
//! * Import: [`zaxy`] and [`peers`] read the stores of other products.

pub mod access;
pub mod anchor;
pub mod archive;
pub mod arguments;
pub mod certificate;
pub mod certificate_fitness;
pub mod checkpoint;
pub mod configuration;
pub mod content;
pub mod digest;
pub mod documents;
pub mod embedding;
pub mod event;
pub mod feedback;
pub mod file_mode;
pub mod filter;
pub mod fold;
pub mod following;
pub mod forgetting;
pub mod format;
pub mod frames;
pub mod graph;
pub mod guard;
pub mod identifier_fields;
pub mod identity;
pub mod issuer;
pub mod item;
pub mod limits;
pub mod memory_tool;
pub mod merkle;
pub mod metrics;
pub mod mode;
pub mod note;
pub mod parts;
pub mod peers;
pub mod policy;
pub mod query;
pub mod records;
pub mod recovery;
pub mod request;
pub mod retention;
pub mod retrieval;
pub mod rollout;
pub mod row;
pub mod rpc;
pub mod status_page;
pub mod strict;
pub mod tags;
pub mod ticket;
pub mod tokens;
pub mod trace_context;
mod unexpected_payload;
pub mod wire;
pub mod words;
pub mod zaxy;
