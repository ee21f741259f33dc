//! The log on disk.
//!
//! One thread writes it ([`writer`]) through [`active`], the segment at its end; [`open`] recovers it. [`keeper`] is
//! the thread that reads everything back, compresses what is sealed and keeps the checkpoint the next start begins at.
//! [`erasure_request`] and [`segment_eraser`] forget; [`reader`] answers reads; [`attestation`] signs and judges.

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
