//! Code shared by the engine and the operator: [`listen()`] listens on IPv4 and IPv6, [`Registry`] registers metrics
//! from a table, [`Timed`] measures durations, [`LogLines`] writes the log, and [`RequestIds`] connects the lines of
//! one request.

mod history;
mod listen;
mod log_lines;
mod panics;
mod registry;
pub mod regular_file;
mod request_ids;
pub mod secret_file;
mod timed;
pub mod tls;

pub use history::WINDOW;
pub use listen::listen;
pub use log_lines::{ACCESS, AUDIT, LogLines, ScrubbedStderr, selected};
pub use panics::log_panics;
pub use registry::{Family, MetricsError, Registry, Sample};
pub use request_ids::{REQUEST_SPAN, RequestIds, STAGE_SPAN, in_span, set_span_parent};
pub use timed::{Percentiles, Timed, Timer, Window};
