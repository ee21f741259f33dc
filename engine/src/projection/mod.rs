//! The projection: SQLite tables built from the log, disposable at any time.
//!
//! [`projector`] is the thread that keeps it in step with the log; [`store`] writes, [`rows`] and [`schema`] say what;
//! [`build`] makes a new one beside the one that answers, [`files`] swaps them; [`scrub`] looks it over while it serves;
//! [`readers`] reads, [`search`] and [`validity`] hold the queries; [`shared`] is what the rest of the engine sees.

mod build;
mod cause;
mod examine;
mod files;
mod forgetting;
mod heads;
mod job;
mod projector;
mod readers;
mod recall;
mod reserve;
mod rows;
mod schema;
mod scrub;
mod search;
mod shared;
mod store;
mod validity;

pub(crate) use examine::{Examined, Place, examine};
pub(crate) use files::directory;
pub(crate) use projector::{Projector, Setting};
pub(crate) use recall::{
    EndRow, MemoryRow, applied_seq, ends_after, exactly, forgotten_after, memories_after,
    memories_of_all_after, memory_count, projects, setting,
};
pub(crate) use search::{Found, Search, Shown, memory, shown_of_types, shown_whole};
pub(crate) use shared::{ProjectionShared, Rebuilt, Unreadable};
pub(crate) use validity::{Bounds, Known, Moment, Target, target};

#[cfg(test)]
mod tests;
