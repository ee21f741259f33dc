//! The append-only, hash-chained log on disk.
//!
//! One writer thread appends events; one keeper thread verifies, compresses and erases in the background. Read the
//! modules in this order:
//!
//! - Files: [`storage`] abstracts the file system; [`segment`] names and lists the segment files; [`frame_file`] and
//!   [`segment_compression`] are their compressed form; [`contents`] reads both forms.
//! - Shared state: [`handles`], [`context`] and [`published`] are shared by the threads; [`clock`] provides time and
//!   random bytes; [`metrics`] counts.
//! - Opening: [`open`] recovers a log into [`opened`]. It uses [`walk`] to read segments, [`torn`] to cut unfinished
//!   writes and [`local`] for the checkpoint at which reading starts.
//! - Writing: [`writer`] serves the orders of [`commit`]; [`group`] batches them, [`active`] appends them, [`keys`]
//!   detects repeated requests, [`rotation`] decides when a segment is sealed, and [`own`] records the engine's own
//!   events.
//! - Reading: [`reader`] reads durable events; [`tail`] caches the newest.
//! - Proofs: [`tree`] is the Merkle tree; [`attestation`] signs checkpoints with the keys of [`keyring`] and verifies
//!   the log against anchors.
//! - Background work: [`keeper`] runs it; [`mod@audit`] reads segments back.
//! - Erasure: [`erasure_request`] records it under an [`erasure_mark`]; [`segment_eraser`] and [`rewrite`] remove the
//!   payloads; [`erasures`] tracks progress; [`traces`] and [`trace_search`] look for remaining copies.
//! - Tools: [`inspect`] reads a log without locking it; [`offline`] changes the log of a stopped engine.

mod active;
mod attestation;
mod audit;
mod clock;
mod commit;
mod contents;
mod context;
mod erasure_mark;
mod erasure_request;
mod erasures;
mod frame_file;
mod group;
mod handles;
mod inspect;
mod keeper;
mod keyring;
mod keys;
mod local;
mod metrics;
mod offline;
mod open;
mod opened;
mod own;
mod published;
mod reader;
mod rewrite;
mod rotation;
mod segment;
mod segment_compression;
mod segment_eraser;
pub mod storage;
mod tail;
mod torn;
mod trace_search;
mod traces;
mod tree;
mod walk;
mod writer;

pub use attestation::Attestation;
pub use audit::{Task, audit};
pub use clock::Clock;
pub use commit::{
    Answer, AppliedKeys, Applying, Commit, CommitError, Erase, Key, KeyRotated, Order, Receipt, Rotated,
};
pub use context::LogContext;
pub use erasure_mark::is_marked;
pub use erasures::{ErasedFiles, ErasedSegment, Erasures};
pub use handles::LogHandles;
pub use inspect::{
    SegmentView, list_segments, stored_checkpoint, stored_envelope, stored_inclusion, write_lines,
};
pub use keeper::Keeper;
pub use metrics::LogMetrics;
pub use offline::Offline;
pub use open::{LogDirectory, OpenError};
pub use published::{Head, Published, Store};
pub use reader::LogReader;
pub use rotation::Rotation;
pub use segment::{Segment, list};
pub use tail::Tail;
pub use trace_search::{Searched, found_in};
pub use traces::search_log;
pub use tree::Tree;
pub use writer::Writer;

#[cfg(test)]
mod tests;
