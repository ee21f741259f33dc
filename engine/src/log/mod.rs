//! The log on disk: opened and recovered ([`open`]), appended to by one thread ([`writer`]), read ([`reader`]).

mod keys;
mod open;
mod published;
mod reader;
mod writer;

pub(crate) use open::{LogDirectory, OpenError, segment_path};
pub(crate) use published::{Head, Published, Store};
pub(crate) use reader::LogReader;
pub(crate) use writer::{AppliedKeys, Applying, Commit, CommitError, Key, Receipt, Writer};

#[cfg(test)]
mod tests;
