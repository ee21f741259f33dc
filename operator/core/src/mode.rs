//! The mode of an engine: what is wanted, what the annotation declares, and what has to be sent to the engine.

use crds::{EngineMode, MemoryEngine};
use engine_core::{
    guard::{BadHoldText, HOLD_SECONDS_MAX, check_hold_texts},
    mode::Mode,
    wire::{DeclaredHold, HoldView, ModeHealth, Teller, WantMode},
};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::{
    mode_word::wanted,
    names::FORCE_MODE_ANNOTATION,
    observed::{EngineReport, Observed},
    plan::Call,
};

/// The annotation's value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Annotation {
    mode: EngineMode,
    reason: String,
    by: String,
    until: Timestamp,
}

/// What is wrong with the annotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnnotation {
    /// It is not such an object.
    #[error(
        "{FORCE_MODE_ANNOTATION} is not {{\"mode\": \"WriteOnly\", \"reason\": \"…\", \"by\": \"…\", \"until\": \
         \"2027-01-01T00:00:00Z\"}}: {0}"
    )]
    Form(String),
    /// A text is empty, too long, or has control characters.
    #[error("{FORCE_MODE_ANNOTATION}: {0}")]
    Text(#[from] BadHoldText),
    /// It lasts too long.
    #[error(
        "{FORCE_MODE_ANNOTATION}: until must be within {HOLD_SECONDS_MAX} s; for longer, change spec.mode"
    )]
    TooLong,
}

/// The hold that the annotation declares. One that has ended is none.
///
/// # Errors
/// The annotation is not valid.
pub fn declared(engine: &MemoryEngine, now: Timestamp) -> Result<Option<DeclaredHold>, BadAnnotation> {
    let annotations = engine.metadata.annotations.as_ref();
    let Some(text) = annotations.and_then(|annotations| annotations.get(FORCE_MODE_ANNOTATION)) else {
        return Ok(None);
    };
    let Annotation { mode, reason, by, until } =
        serde_json::from_str(text).map_err(|fault| BadAnnotation::Form(fault.to_string()))?;
    check_hold_texts(&reason, &by)?;
    let longest = SignedDuration::from_secs(i64::try_from(HOLD_SECONDS_MAX).unwrap_or(i64::MAX));
    if until.duration_since(now) > longest {
        return Err(BadAnnotation::TooLong);
    }
    Ok((until > now).then(|| DeclaredHold { mode: wanted(mode), reason, by, until }))
}

/// The calls that make the engine's mode what the resource says. They do not depend on the rest of the spec: also with
/// an invalid spec, reads can be held off. An engine that is too old to have modes is not called.
#[must_use]
pub fn calls(observed: &Observed, wanted: Mode) -> Vec<Call> {
    let EngineReport::Answered(health) = &observed.writer().report else { return Vec::new() };
    let Some(mode) = &health.mode else { return Vec::new() };
    let engine = &observed.engine;
    let told_by = Teller {
        uid: engine.metadata.uid.clone().unwrap_or_default(),
        generation: engine.metadata.generation.unwrap_or_default(),
    };
    let mut calls = Vec::new();
    if mode.wanted != wanted || !is_told(mode, engine) {
        calls.push(Call::PushMode(WantMode { mode: wanted, told_by }));
    }
    // An annotation that is not valid leaves the hold that there is.
    if let Ok(hold) = declared(engine, observed.now)
        && !is_same(mode.declared.as_ref(), hold.as_ref())
    {
        calls.push(Call::PushHold(hold));
    }
    calls
}

/// Whether the engine was told its mode by this resource. A volume that was kept may come with the mode of an earlier
/// resource.
fn is_told(mode: &ModeHealth, engine: &MemoryEngine) -> bool {
    let uid = engine.metadata.uid.as_deref().unwrap_or_default();
    mode.told_by.as_ref().is_some_and(|told| told.uid == uid)
}

/// Whether the engine has taken over the wanted mode. An answer to a call counts only if it says so: the engine may
/// have kept another mode, heard another resource, or allow more than what is wanted.
#[must_use]
pub fn is_taken_over(mode: &ModeHealth, engine: &MemoryEngine, wanted: Mode) -> bool {
    mode.wanted == wanted && is_told(mode, engine) && mode.effective.intersect(wanted) == mode.effective
}

/// Whether the engine holds what is declared. Texts that its policy redacted are not compared, because the operator
/// does not know that policy. The price is that a change of such a text alone is not sent.
#[must_use]
pub fn is_same(held: Option<&HoldView>, declared: Option<&DeclaredHold>) -> bool {
    match (held, declared) {
        (None, None) => true,
        (Some(held), Some(declared)) => {
            let HoldView { mode, reason, by, redacted, until, since: _ } = held;
            (mode, until) == (&declared.mode, &declared.until)
                && (*redacted || (reason, by) == (&declared.reason, &declared.by))
        }
        _ => false,
    }
}

/// Replaces the mode in the report by what the engine answered to a call, so that the status is based on it.
pub fn acknowledge_mode(observed: &mut Observed, mode: ModeHealth) {
    if let EngineReport::Answered(health) = &mut observed.writer_mut().report {
        health.mode = Some(mode);
    }
}
