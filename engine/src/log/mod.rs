//! The log on disk.
//!
//! One thread writes it ([`writer`]) through [`active`], the segment at its end; [`open`] recovers it. [`keeper`] is
//! the thread that reads everything back, compresses what is sealed and keeps the checkpoint the next start begins at.
//! [`erase`] and [`eraser`] forget; [`reader`] answers reads; [`attestation`] signs and judges.

mod active;
mod attestation;
mod audit;
mod commit;
mod compact;
mod compressed;
mod contents;
mod erase;
mod eraser;
mod group;
mod inspect;
mod keeper;
mod keyring;
mod keys;
mod local;
mod offline;
mod open;
mod own;
mod published;
mod reader;
mod rewrite;
mod segment;
mod tail;
mod torn;
mod traces;
mod tree;
mod walk;
mod writer;

pub(crate) use attestation::Attestation;
pub(crate) use audit::{Task, audit};
pub(crate) use commit::{
    Answer, AppliedKeys, Applying, Commit, CommitError, Erase, Key, KeyRotated, Order, Receipt, Rotated,
};
pub(crate) use eraser::{ErasedFiles, Erasures};
pub(crate) use inspect::{
    SegmentView, list_segments, stored_checkpoint, stored_envelope, stored_inclusion, write_lines,
};
pub(crate) use keeper::Keeper;
pub(crate) use offline::Offline;
pub(crate) use open::{LogDirectory, OpenError};
pub(crate) use published::{Head, Published, Store};
pub(crate) use reader::LogReader;
pub(crate) use segment::{Segment, list};
pub(crate) use tail::Tail;
pub(crate) use traces::search_log;
pub(crate) use tree::Tree;
pub(crate) use writer::{LogParts, Writer};

#[cfg(test)]
mod tests;
