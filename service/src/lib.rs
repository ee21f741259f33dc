//! What both long-running programs share: listening on both address families, and metrics registered from a table.

mod listen;
mod registry;

pub use listen::listen;
pub use registry::{Family, MetricsError, Registry};
