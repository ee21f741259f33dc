//! The operations that clients can request. HTTP, MCP and the adapters for other products call the same functions, so
//! all protocols follow the same rules.
//!
//! [`handle`] is the entry point. Writes: [`saving`], [`memories`], [`documents`], [`entries`], [`items`], [`graph`],
//! [`weights`], [`forget`], [`retention`] and [`memory_tool`]. Reads: [`search`], [`checkout`], [`read_from_tail`],
//! [`events`] and [`log`].
//!
//! Shared parts: [`gate`] checks who may do what, [`identifiers`] replaces personal data in identifiers,
//! [`idempotency`] binds keys to requests, [`external_models`] calls external models, and [`audit`] logs removals.

mod asked;
mod audit;
mod checkout;
mod documents;
mod entries;
mod events;
mod external_models;
mod forget;
mod forget_places;
mod gate;
mod graph;
mod handle;
mod idempotency;
mod identifiers;
mod items;
mod log;
mod memories;
mod memory_tool;
mod read_from_tail;
mod retention;
mod saving;
mod search;
mod weights;

pub(crate) use events::EventFilter;
pub(crate) use handle::{Operations, SEQ_MAX, Written};
pub(crate) use idempotency::{SentKey, bind};
pub(crate) use items::NamedItem;
pub(crate) use log::{not_open, texts};
