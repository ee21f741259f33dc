//! The append-only, hash-chained log on disk.
//!
//! One writer thread appends events; one keeper thread verifies, compresses and erases in the background. Read the
//! modules in this order:
//!
//! - Files: [`storage`] abstracts the file system; [`segment`] names and lists the segment files; [`frame_file`] and
//!   [`segment_compression`] are their compressed form; [`contents`] reads both forms.
//! - Shared state: [`handles`], [`context`] and [`published`] are shared by the threads; [`clock`] provides time and
//!   random bytes; [`metrics`] counts.
//! - Opening: [`open`] recovers a log into [`open_outcome`]. It uses [`log_scan`] to read segments, [`torn_bytes`] to
//!   cut unfinished writes and [`local_checkpoint`] for the checkpoint at which reading starts.
//! - Writing: [`writer`] serves the commands of [`commit`]; [`group`] batches them, [`active_segment`] appends them,
//!   [`recent_keys`] detects repeated requests, [`rotation`] decides when a segment is sealed, and [`engine_events`]
//!   writes the engine's own events.
//! - Reading: [`reader`] reads durable events; [`stored_lines`] reads whole lines of a segment, for an archive;
//!   [`tail`] caches the newest events in memory.
//! - Following: [`lines_following`] is what an engine tells those that follow it; [`follower`] continues a copy with
//!   that, in place of the writer, [`copy_open`] opens the copy, and [`copy_mark`] says that it is one.
//! - Proofs: [`tree`] is the Merkle tree; [`attestation`] signs checkpoints with the keys of [`keyring`] and verifies
//!   the log against anchors.
//! - Background work: [`keeper`] runs it; [`mod@audit`] reads segments back; [`scrubs`] are requests to read all of
//!   them.
//! - Erasure: [`erasure_request`] records it under an [`erasure_marker`]; [`segment_eraser`] and [`rewrite`] remove the
//!   payloads; [`erasures`] tracks progress; [`traces`] and [`trace_search`] look for remaining copies.
//! - Tools: [`inspect`] reads a log without locking it; [`offline`] changes the log of a stopped engine.

mod active_segment;
mod attestation;
mod audit;
mod clock;
mod commit;
mod contents;
mod context;
mod copy_mark;
mod copy_open;
mod engine_events;
mod erasure_marker;
mod erasure_request;
mod erasures;
mod follower;
mod frame_file;
mod group;
mod handles;
mod inspect;
mod keeper;
mod keyring;
mod lines_following;
mod local_checkpoint;
mod log_scan;
mod metrics;
mod offline;
mod open;
mod open_outcome;
mod published;
mod reader;
mod recent_keys;
mod rewrite;
mod rotation;
mod scrubs;
mod segment;
mod segment_compression;
mod segment_eraser;
pub mod storage;
mod stored_lines;
mod tail;
mod torn_bytes;
mod trace_search;
mod traces;
mod tree;
mod writer;

pub use attestation::Attestation;
pub use audit::{Task, audit};
pub use clock::Clock;
pub use commit::{
    Answer, AppliedKeys, Caller, Commit, CommitError, DurableGroup, Erase, FollowError, Followed, Key,
    KeyRotated, Receipt, Received, Rotated, WriterCommand,
};
pub use context::LogContext;
pub use copy_mark::is_copy;
pub use erasure_marker::is_marked;
pub use erasures::{ErasedFiles, ErasedSegment, Erasures};
pub use follower::Follower;
pub use handles::LogHandles;
pub use inspect::{
    SegmentView, list_segments, stored_checkpoint, stored_envelope, stored_inclusion, write_lines,
};
pub use keeper::Keeper;
pub use lines_following::FollowingLines;
pub use metrics::LogMetrics;
pub use offline::{Offline, OfflineError};
pub use open::{LogDirectory, OpenError};
pub use published::{Head, Published, WriteState};
pub use reader::LogReader;
pub use rotation::Rotation;
pub use scrubs::{Scrubbed, Scrubs};
pub use segment::{Segment, list};
pub use stored_lines::StoredLines;
pub use tail::Tail;
pub use trace_search::{TraceSearchResult, found_in};
pub use traces::search_log;
pub use tree::Tree;
pub use writer::Writer;

#[cfg(test)]
mod tests;
