//! Code shared by the engine and the operator: [`listen()`] listens on IPv4 and IPv6, [`Registry`] registers metrics
//! from a table, [`Timed`] measures durations.

mod listen;
mod registry;
mod timed;

pub use listen::listen;
pub use registry::{Family, MetricsError, Registry, Sample};
pub use timed::{Percentiles, Timed, Timer, WINDOW, Window};
