//! What is left of a plan while the spec suspends the engine: nothing, except that what it would have changed is said.

use engine_core::wire::UpkeepTask;

use crate::plan::{Call, Plan, Step, Write};

/// Maximum number of changes in a message. A plan rarely has more, and a message has a limit.
const CHANGES_MAX: usize = 12;

/// Takes every step out of a plan and keeps it in words. A resource that is being deleted goes all the same.
pub(crate) fn hold(planned: Plan) -> Plan {
    let steps = planned.steps.iter().filter(|step| matches!(step, Step::Hold(false))).cloned().collect();
    let mut changes: Vec<String> = planned.steps.iter().filter_map(described).collect();
    if changes.len() > CHANGES_MAX {
        let more = changes.len() - CHANGES_MAX;
        changes.truncate(CHANGES_MAX);
        changes.push(format!("and {more} more"));
    }
    Plan { steps, suspended: Some(changes), ..planned }
}

/// A step in words; `None` for what follows the log and is no change of the engine.
fn described(step: &Step) -> Option<String> {
    Some(match step {
        // A ticket follows the label of the pod, of which it is said.
        Step::Write(Write::Record { .. })
        | Step::Call(Call::PushAnchor(_) | Call::DeliverTicket(_) | Call::GrantCanary(_))
        | Step::Remember(_)
        | Step::Record(_) => return None,
        Step::Write(write) => format!("{} {}: {}", write.verb(), write.key(), write.because()),
        Step::Call(Call::PushMode(want)) => format!("set the mode {}", want.mode),
        Step::Call(Call::PushHold(hold)) => {
            let verb = if hold.is_some() { "set" } else { "end" };
            format!("{verb} the hold of the mode")
        }
        Step::Call(Call::TakeBackup(wanted)) => {
            format!("take a backup for the request {}", wanted.request.as_deref().unwrap_or_default())
        }
        Step::Call(Call::Upkeep(start)) => match start.task {
            UpkeepTask::RotateLog => "begin a new segment of the log".to_owned(),
            UpkeepTask::Scrub => "verify the complete log and projection".to_owned(),
            UpkeepTask::PlanRetention => "make a retention plan".to_owned(),
            UpkeepTask::ApplyRetention => "carry out a retention plan".to_owned(),
        },
        Step::Hold(true) => "let a deletion wait for a last backup".to_owned(),
        Step::Hold(false) => "let a deletion wait for nothing".to_owned(),
        Step::Issue(issue) => format!("write {}: {}", issue.key, issue.because),
        Step::Copy(copy) => format!("copy {} to {}", copy.from, copy.key),
        Step::Rotate(rotate) => format!("write {}: {}", rotate.key, rotate.change.because()),
        Step::Deliver(deliver) => format!("deliver a certificate to pod {}", deliver.pod),
        Step::Publish(publish) if publish.is_public => format!("expose pod {}", publish.pod),
        Step::Publish(publish) => format!("end the exposure of pod {}", publish.pod),
    })
}
