//! `ReadsEnabled`: whether the engine answers reads, and if not, why and until when.

use engine_core::guard::{Cause, Reason as GuardReason};
use engine_core::wire::{HoldView, ModeHealth};

use super::facts::Facts;
use crate::{
    conditions::{ConditionType, Reason, Truth, Verdict},
    mode::{declared, is_same, is_taken_over},
};

fn off(reason: Reason, message: String) -> Verdict {
    Verdict::new(Truth::False, reason, message)
}

/// The verdict on an engine that is too old to have modes: it always reads and writes.
pub(super) fn of_an_engine_without_modes(facts: &Facts<'_>) -> Option<Verdict> {
    let health = facts.health()?;
    if health.mode.is_some() {
        return None;
    }
    let wanted = facts.outcome.essentials().mode;
    if wanted == engine_core::mode::Mode::ReadWrite {
        return Some(Verdict::new(Truth::True, Reason::ReadsOn, "reads are answered"));
    }
    Some(off(
        Reason::EngineTooOld,
        format!(
            "the engine is version {} and has no modes: it reads and writes. Set spec.image to a version that has them, or \
             spec.mode to ReadWrite",
            health.version
        ),
    ))
}

/// The verdict while the engine has not taken over what the resource says.
pub(super) fn not_taken_over(facts: &Facts<'_>) -> Option<Verdict> {
    let (mode, engine) = (mode(facts)?, &facts.observed.engine);
    let wanted = facts.outcome.essentials().mode;
    let hold = declared(engine, facts.observed.now).ok();
    let is_held = hold.is_none_or(|hold| is_same(mode.declared.as_ref(), hold.as_ref()));
    if is_taken_over(mode, engine, wanted) && is_held {
        return None;
    }
    let why = facts.observed.mode_refusal.as_deref();
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Some(off(Reason::ModePending, format!("the engine has not taken over the mode {wanted} yet{why}")))
}

/// The verdict on a mode without reads that the spec wants.
pub(super) fn not_wanted(facts: &Facts<'_>) -> Option<Verdict> {
    let mode = mode(facts)?;
    (!mode.wanted.reads()).then(|| {
        off(Reason::ModeWithoutReads, format!("spec.mode wants {}, which has no reads", mode.wanted))
    })
}

/// The verdict on reads that a person holds off.
pub(super) fn held(facts: &Facts<'_>) -> Option<Verdict> {
    let mode = mode(facts)?;
    let holds = [("the resource", &mode.declared), ("the engine", &mode.direct)];
    let hold = holds
        .into_iter()
        .find_map(|(place, hold)| hold.as_ref().filter(|hold| !hold.mode.reads()).map(|hold| (place, hold)));
    let (place, HoldView { mode, reason, by, since, until, redacted: _ }) = hold?;
    Some(off(
        Reason::ForcedByHold,
        format!("{by} holds the mode at {mode} at {place} since {since} until {until}: {reason}"),
    ))
}

/// The verdict on reads that the guard has turned off.
pub(super) fn forced(facts: &Facts<'_>) -> Option<Verdict> {
    let guard = &mode(facts)?.guard;
    if !matches!(guard.state.as_str(), "forced" | "probing") {
        return None;
    }
    let (reason, what) =
        guard.cause.map_or((Reason::DependencyFailing, "something that reads need fails"), explained);
    let dependency = guard.cause.map_or("unknown", |cause| cause.dependency.as_str());
    let until = guard.until.map(|until| format!("; probes begin at {until}")).unwrap_or_default();
    Some(off(
        reason,
        format!(
            "the guard turned reads off at {}: {dependency}: {what}{until}. Writes go on, and reads return by \
             themselves once probes pass",
            guard.since
        ),
    ))
}

fn explained(cause: Cause) -> (Reason, &'static str) {
    match cause.reason {
        GuardReason::AuthenticationFailed => {
            (Reason::DependencyAuthenticationFailed, "it refuses the engine's credentials")
        }
        GuardReason::ConsecutiveFailures => (Reason::DependencyFailing, "calls in a row failed"),
        GuardReason::RateLimited => (Reason::DependencyFailing, "it demands not to be called for minutes"),
        GuardReason::RequestsRefused => (
            Reason::DependencyFailing,
            "it refuses every request as invalid; look at the model and the dimension in the configuration",
        ),
        GuardReason::Slow => (Reason::DependencySlow, "most recent calls and a probe were slow"),
    }
}

/// The verdict on reads that the mode allows.
pub(super) fn on(_: &Facts<'_>) -> Option<Verdict> {
    Some(Verdict::new(Truth::True, Reason::ReadsOn, "reads are answered"))
}

/// Whether the projection cannot answer.
pub(super) fn is_projection_missing(facts: &Facts<'_>) -> bool {
    facts.is(ConditionType::ProjectionReady, Truth::False)
}

fn mode<'a>(facts: &'a Facts<'_>) -> Option<&'a ModeHealth> {
    facts.health()?.mode.as_ref()
}
