//! What a memory engine decides, as pure functions: no clock, no files, no network, no randomness. Time, ids and
//! random bytes are arguments; the crate `memory-engine` supplies them and acts on the answers.
//!
//! Where to look: [`format`] owns the bytes of the log (docs/FORMAT.md says the same for people), [`recovery`] judges
//! a log that was found, [`merkle`], [`note`] and [`checkpoint`] say what a log is in a few signed bytes, [`anchor`]
//! judges it by what was recorded elsewhere, [`frames`] finds its way in compressed segments, [`fold`] turns events
//! into what the projection stores, [`item`] and [`graph`] among them, [`documents`] cuts texts into memories,
//! [`embedding`] makes vectors of them and [`retrieval`] ranks them, [`policy`] says what may be written,
//! [`identity`] what names something, [`configuration`] what may be configured, [`forgetting`] and [`retention`] what
//! goes, [`request`] is the only code that sees unchecked requests, [`query`] turns a person's words into a full-text
//! query, [`arguments`] makes what a model sent what a tool takes, [`parts`] how much of an answer fits, [`rpc`] says
//! whose request it was that cannot be read, [`zaxy`] and [`peers`] read what other products have stored.

pub mod anchor;
pub mod arguments;
pub mod checkpoint;
pub mod configuration;
pub mod content;
pub mod digest;
pub mod documents;
pub mod embedding;
pub mod event;
pub mod feedback;
pub mod filter;
pub mod fold;
pub mod forgetting;
pub mod format;
pub mod frames;
pub mod graph;
pub mod identity;
pub mod item;
pub mod limits;
pub mod memory_tool;
pub mod merkle;
pub mod note;
pub mod parts;
pub mod peers;
pub mod policy;
pub mod query;
pub mod recovery;
pub mod request;
pub mod retention;
pub mod retrieval;
pub mod row;
pub mod rpc;
pub mod strict;
pub mod tags;
pub mod tokens;
pub mod wire;
pub mod words;
pub mod zaxy;
