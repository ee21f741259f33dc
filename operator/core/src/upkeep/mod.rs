//! Work that an engine does on a schedule: a new segment of its log, a complete verification, and retention.
//!
//! Each task has a CronJob whose Jobs write the id of a request into a ConfigMap. The operator has the engine carry the
//! request out, and answers in the same ConfigMap. A retention plan is carried out later, when nothing holds it back.

mod approval;
mod requests;
mod retention;
mod table;
mod view;

pub use requests::{Answered, acknowledge_upkeep, answered, is_unfinished, last_run, problem, to_start};
pub use retention::{Hold, HoldKind, Standing, applied, last_plan, standing, to_apply};
pub use table::{SCHEDULED, Scheduled, scheduled};
pub use view::UpkeepView;
