//! The products whose stores can be imported.

/// The product that wrote a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    ServerMemory,
    Mem0,
    BasicMemory,
}

impl Product {
    pub(super) fn name(self) -> &'static str {
        match self {
            Product::ServerMemory => "server-memory",
            Product::Mem0 => "mem0",
            Product::BasicMemory => "basic-memory",
        }
    }
}
