//! Decides whether a new revision may answer reads, from pairs of answers.
//!
//! ```text
//! Pair ──Pairing──▶ Tally ──Reading──▶ Evidence ──judge──▶ Verdicts ─┐
//! spec, pods, drills, command, time ────────────────────────────────┼─step──▶ (State, Decision)
//! State ◀──restore── Status ◀──save── State ────────────────────────┘
//! ```
//!
//! A read has no side effects, so the same question is asked of both revisions at the same event of the log. Three
//! integers for each gate hold all evidence. A gate compares a wealth with a bound that holds at any number of looks.
//! `docs/decisions/0040-paired-reads-and-gates-that-hold-at-every-look.md` says why.
//!
//! Files:
//! * `evidence` adds up what the processes that answer reads report. They make counts of pairs with
//!   [`engine_core::rollout`], which has the metrics with their margins, and the weight as these processes see it;
//! * `gate` gives the verdict, `outlook` says what is missing for one;
//! * `ladder` lists the steps; `settings`, `input` and `state` are what `step` takes, `decision` is what it gives, and
//!   `record` remembers it;
//! * `drills` says how far the drills before the next step are;
//! * `revision` is what is judged, `request` what a person asks for, `view` what is observed, `turn` puts all of it
//!   together once in a reconcile, `rolled` is what it has decided, and `report` is what the status says.
//!
//! Nothing here acts.

mod decision;
mod drills;
mod evidence;
mod gate;
mod input;
mod ladder;
mod outlook;
mod record;
mod report;
mod request;
mod revision;
mod rolled;
mod settings;
mod state;
mod step;
mod turn;
mod view;
mod wealth;

pub use engine_core::rollout::{
    counts::{Counts, Quality, Tally},
    grant::{Grant, LEASE_S},
    metric::{FAILING_GATES, Metric, PerMetric, Rule},
    pairing::{Answer, Ended, Pair, Pairing, Taken},
};

pub use decision::{Breach, Cause, Decision, Outcome, Reads, Refusal, Wait};
pub use drills::{DrillEnd, drill_end, drill_job};
pub use evidence::{Absorbed, Evidence, Figures, PODS_MAX, RawReading, RawSample, Reading, STALE_S_MAX};
pub use gate::{Context, Judgement, NoData, Verdict, Verdicts, judge, judge_all};
pub use input::{Command, Drills, Input, PodView, Pods, Verb, first_command};
pub use ladder::Step;
pub use outlook::{Outlook, outlook};
pub use record::{RECORDS_MAX, Record};
pub use report::{gate_of, phase};
pub use request::requested;
pub use revision::{Revision, Running};
pub use rolled::{PodGrant, Rolled};
pub use settings::{CanaryStep, READY_POD_S, Settings};
pub use state::{DRILLS_FAILED_MAX, FAILED_MAX, Hold, State, Status, Trial};
pub use step::step;
pub use turn::{Turn, turn};
pub use view::{Reporting, RolloutView};
pub use wealth::{fail_wealth, one_sample_fail_wealth, one_sample_pass_wealth, pass_wealth};
