//! Validates `spec.update` and `spec.fence`.

use crds::{MemoryEngine, MemoryEngineSpec, UpdatePolicy};
use engine_core::guard::check_hold_texts;
use jiff::SignedDuration;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{check_range, fault::Fault};
use crate::schedule::{Schedule, ScheduleFault};

/// Bounds of the length of a window in minutes. A shorter one could pass between two reconciles of a busy operator.
const WINDOW_MINUTES: (i64, i64) = (5, 1440);

/// Parts of the spec that never change the pod: a running engine takes them over, or they concern other objects. A
/// change of them must not take a waiting update along. Of a rollout, the pod keeps the questions of rehearsals.
const WITHOUT_THE_POD: [&str; 25] = [
    "/mode",
    "/suspend",
    "/hibernate",
    "/fence",
    "/update",
    "/deletionPolicy",
    "/service",
    "/readers",
    "/rollout",
    "/backup/standby",
    "/writer/storage",
    "/integrity/acceptRollback",
    "/integrity/anchorIntervalSeconds",
    "/integrity/scrub",
    "/rotation/schedule",
    "/rotation/timeZone",
    "/rotation/suspend",
    "/retention/schedule",
    "/retention/timeZone",
    "/retention/suspend",
    "/retention/apply",
    "/retention/autoMaxPercent",
    "/retention/verifiedBackupMaxAgeHours",
    "/exposure/networkPolicy",
    "/exposure/allowFrom",
];

/// The part of `/rollout` that the pod depends on.
const REHEARSAL: &str = "/rollout/rehearsal";

/// When a change that comes from the operator may restart the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateWhen {
    /// After an approval.
    OnApproval,
    /// In this window, or after an approval.
    Window(Schedule, SignedDuration),
    /// At once.
    Auto,
}

/// When an update is applied, and the identity of the spec that the pod is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidUpdate {
    /// When a change that comes from the operator may restart the pod.
    pub when: UpdateWhen,
    /// The metadata.generation of the spec.
    pub generation: i64,
    /// Hash of the parts of the spec that the pod may depend on.
    pub inputs: String,
    /// Name of the revision, if a rollout decides about it.
    pub revision: Option<String>,
}

pub(super) fn check(engine: &MemoryEngine, faults: &mut Vec<Fault>) -> ValidUpdate {
    if let Some(fence) = &engine.spec.fence
        && let Err(fault) = check_hold_texts(&fence.reason, &fence.by)
    {
        faults.push(Fault::Fence(fault));
    }
    ValidUpdate {
        when: when(&engine.spec, faults),
        generation: engine.metadata.generation.unwrap_or_default(),
        inputs: inputs(&engine.spec),
        revision: None,
    }
}

fn when(spec: &MemoryEngineSpec, faults: &mut Vec<Fault>) -> UpdateWhen {
    let Some(update) = &spec.update else { return UpdateWhen::OnApproval };
    let window = update.window.as_ref().and_then(|window| {
        let minutes = i64::from(window.duration_minutes);
        check_range("spec.update.window.durationMinutes", minutes, WINDOW_MINUTES, faults);
        match Schedule::parse(&window.schedule, &window.time_zone) {
            Ok(schedule) => return Some(UpdateWhen::Window(schedule, SignedDuration::from_mins(minutes))),
            Err(fault @ ScheduleFault::TimeZone) => {
                faults.push(Fault::Schedule("spec.update.window.timeZone", fault));
            }
            Err(fault) => faults.push(Fault::Schedule("spec.update.window.schedule", fault)),
        }
        None
    });
    match (update.policy, window) {
        (UpdatePolicy::OnApproval, _) => UpdateWhen::OnApproval,
        (UpdatePolicy::Auto, _) => UpdateWhen::Auto,
        (UpdatePolicy::Window, Some(window)) => window,
        (UpdatePolicy::Window, None) => {
            if update.window.is_none() {
                let field = "spec.update.policy: Window";
                faults.push(Fault::Needs { field, needed: "spec.update.window" });
            }
            UpdateWhen::OnApproval
        }
    }
}

/// Hash of the parts of the spec that the pod may depend on. A field that a later version adds must be left out of the
/// serialised spec while it has its default; otherwise every spec looks changed to that version.
fn inputs(spec: &MemoryEngineSpec) -> String {
    let mut spec = json!(spec);
    let rehearsal = spec.pointer(REHEARSAL).cloned();
    for path in WITHOUT_THE_POD {
        let Some((parent, field)) = path.rsplit_once('/') else { continue };
        if let Some(Value::Object(fields)) = spec.pointer_mut(parent) {
            fields.remove(field);
        }
    }
    if let (Some(rehearsal), Value::Object(fields)) = (rehearsal, &mut spec) {
        fields.insert(REHEARSAL.to_owned(), rehearsal);
    }
    crate::build::hex(&Sha256::digest(spec.to_string()))
}
