//! What clients may ask of an engine, whatever protocol they speak: HTTP, MCP and the adapters for other products call
//! the same functions, so that none of them has a rule of its own.

mod checkout;
mod documents;
mod entries;
mod events;
mod forget;
mod fresh;
mod graph;
mod handle;
mod idempotency;
mod items;
mod log;
mod memories;
mod memory_tool;
mod named;
mod outside;
mod retention;
mod saving;
mod search;
mod weights;

pub(crate) use events::EventFilter;
pub(crate) use handle::{Operations, SEQ_MAX, Written};
pub(crate) use idempotency::{SentKey, bind};
pub(crate) use items::NamedItem;
pub(crate) use log::{not_open, texts};
