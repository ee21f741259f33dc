//! Code shared by the engine and the operator: [`listen()`] listens on IPv4 and IPv6, [`Registry`] registers metrics
//! from a table.

mod listen;
mod registry;

pub use listen::listen;
pub use registry::{Family, MetricsError, Registry};
