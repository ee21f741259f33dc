//! The table of operations. It contains every operation of the clients' port except `/mcp`, because MCP has its own
//! description of its tools. There is one module per tag; [`parameters`] contains the parts that they share.

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
