//! The table of operations: every operation of the clients' port except `/mcp`, which describes itself to its clients.
//! One module per tag; [`parameters`] has the parts they share.

mod clients;
mod forgetting;
mod graph;
mod items;
mod log;
mod memories;
mod parameters;
mod retrieval;

use super::operation::Operation;

/// All operations.
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
