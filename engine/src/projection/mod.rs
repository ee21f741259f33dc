//! The projection: SQLite tables built from the log, disposable at any time.
//!
//! [`store`] writes them, [`readers`] reads them, [`projector`] is the thread that keeps them in step with the log,
//! [`search`] holds the queries.

mod projector;
mod readers;
mod reserve;
mod search;
mod shared;
mod store;

pub(crate) use projector::Projector;
pub(crate) use search::{Search, memory};
pub(crate) use shared::{ProjectionShared, Unreadable};
pub(crate) use store::directory;
