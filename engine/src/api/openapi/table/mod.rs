//! The table: every operation of the clients' port but `/mcp`, which describes itself to its clients.

mod clients;
mod forgetting;
mod graph;
mod items;
mod log;
mod memories;
mod parameters;
mod retrieval;

use super::operation::Operation;

/// All of them.
pub(super) fn operations() -> impl Iterator<Item = &'static Operation> {
    let parts = [
        memories::OPERATIONS,
        retrieval::OPERATIONS,
        forgetting::OPERATIONS,
        items::OPERATIONS,
        graph::OPERATIONS,
        clients::OPERATIONS,
        log::OPERATIONS,
    ];
    parts.into_iter().flatten()
}
