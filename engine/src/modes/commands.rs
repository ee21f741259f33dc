//! The requests that change the mode. Each is durable before it is answered, if the volume works.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine_core::guard::{HOLD_SECONDS_MAX, Hold, Input, Now, Person, check_hold_texts};
use engine_core::request::Refused;
use engine_core::wire::{
    DeclareHold, DeclaredHold, ErrorCode, ForceMode, ModeReport, PersonWantsMode, Teller, WantMode,
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Modes;
use super::recorder::own_event;
use crate::engine::Engine;
use crate::refusal::{Refusal, ended, internal};
use service::in_span;

impl Modes {
    /// Sets the wanted mode, as the resource says.
    ///
    /// # Errors
    /// A newer generation of the same resource has already said something else.
    pub(crate) async fn want(self: &Arc<Self>, request: WantMode) -> Result<ModeReport, Refusal> {
        let WantMode { mode, told_by } = request;
        let now = self.now();
        let effects = {
            let mut state = self.state();
            if let Some(last) = &state.told_by
                && last.uid == told_by.uid
                && last.generation > told_by.generation
            {
                return Err(outdated(last, &told_by));
            }
            let is_first = state.told_by.is_none();
            // What the file said no longer matters.
            let was_unread = self.unread.swap(false, Ordering::AcqRel);
            if state.told_by.as_ref() != Some(&told_by) || was_unread {
                state.told_by = Some(told_by);
                self.unsaved.store(true, Ordering::Release);
            }
            self.apply(&mut state, &Input::Want { mode, person: None }, now, is_first)
        };
        self.run(effects);
        self.durable().await
    }

    /// Sets the wanted mode, as a person says.
    ///
    /// # Errors
    /// A resource says which mode is wanted, and would say so again.
    pub(crate) async fn want_for_a_person(
        self: &Arc<Self>,
        request: PersonWantsMode,
    ) -> Result<ModeReport, Refusal> {
        let PersonWantsMode { mode, reason, by } = request;
        let now = self.now();
        let effects = {
            let mut state = self.state();
            if state.told_by.is_some() {
                return Err(Refusal::new(
                    ErrorCode::VersionConflict,
                    "an operator says which mode this engine has",
                )
                .hint("change spec.mode of the resource, or hold a narrower mode with `memory-engine mode force`"));
            }
            // What the file said no longer matters.
            if self.unread.swap(false, Ordering::AcqRel) {
                self.unsaved.store(true, Ordering::Release);
            }
            self.apply(&mut state, &Input::Want { mode, person: Some(Person { by, reason }) }, now, false)
        };
        self.run(effects);
        self.durable().await
    }

    /// Sets or removes the hold that the resource declares. A hold that has expired counts as none. `redacted` says
    /// whether the policy changed its texts.
    ///
    /// # Errors
    /// The hold is not valid.
    pub(crate) async fn declare(
        self: &Arc<Self>,
        request: DeclareHold,
        redacted: bool,
    ) -> Result<ModeReport, Refusal> {
        let now = self.now();
        let hold = request.hold.map(|hold| declared(hold, redacted, now)).transpose()?.flatten();
        let unchanged = {
            let state = self.state();
            same(state.guard.declared.as_ref(), hold.as_ref())
        };
        if !unchanged {
            self.step(&Input::Declare { hold });
        }
        self.durable().await
    }

    /// Sets a hold at this engine. `redacted` says whether the policy changed its texts.
    ///
    /// # Errors
    /// The hold is not valid, or somebody else holds the mode.
    pub(crate) async fn force(
        self: &Arc<Self>,
        request: ForceMode,
        redacted: bool,
    ) -> Result<ModeReport, Refusal> {
        let now = self.now();
        let ForceMode { mode, reason, by, ttl_seconds, replace } = request;
        if !(1..=HOLD_SECONDS_MAX).contains(&ttl_seconds) {
            return Err(Refused::Range { field: "ttl_seconds", min: 1, max: HOLD_SECONDS_MAX }.into());
        }
        let until_ms = now.ms.saturating_add(i64::try_from(ttl_seconds).unwrap_or(0) * 1_000);
        let until = now.wall_at(until_ms);
        let hold = Hold { mode, reason, by, redacted, since: now.wall, until, until_ms };
        let effects = {
            let mut state = self.state();
            let held = state.guard.direct.as_ref().filter(|held| held.until_ms > now.ms);
            if let Some(held) = held.filter(|held| held.by != hold.by && !replace) {
                return Err(held_by_another(held));
            }
            self.apply(&mut state, &Input::Force { hold }, now, false)
        };
        self.run(effects);
        self.durable().await
    }

    /// Ends the hold at this engine and the guard's own.
    ///
    /// # Errors
    /// As for [`Modes::durable`].
    pub(crate) async fn clear(self: &Arc<Self>) -> Result<ModeReport, Refusal> {
        self.step(&Input::Clear);
        self.durable().await
    }

    /// Resets the counters of failures.
    ///
    /// # Errors
    /// As for [`Modes::durable`].
    pub(crate) async fn reset(self: &Arc<Self>) -> Result<ModeReport, Refusal> {
        self.step(&Input::Reset);
        self.durable().await
    }

    /// Writes the mode to the volume and returns the report. A mode that cannot be written holds all the same, until
    /// the next start, and writing it is tried again.
    ///
    /// # Errors
    /// The thread that writes has ended.
    async fn durable(self: &Arc<Self>) -> Result<ModeReport, Refusal> {
        let modes = Arc::clone(self);
        let saved = tokio::task::spawn_blocking(in_span(move || modes.save())).await.map_err(ended)?;
        if let Err(fault) = saved {
            tracing::error!(%fault, "the mode cannot be written to the volume; it is tried again");
        }
        Ok(self.report())
    }
}

fn outdated(last: &Teller, told: &Teller) -> Refusal {
    Refusal::new(
        ErrorCode::VersionConflict,
        format!(
            "generation {} of the resource is older than {}, which was applied",
            told.generation, last.generation
        ),
    )
    .hint("send the mode of the newest generation")
}

fn held_by_another(held: &Hold) -> Refusal {
    let Hold { mode, by, until, .. } = held;
    Refusal::new(ErrorCode::VersionConflict, format!("{by} holds the mode at {mode} until {until}"))
        .hint("ask them; to replace their hold all the same, send replace: true (--replace)")
}

/// The hold with its end on the monotonic clock; `None` if it has expired.
fn declared(hold: DeclaredHold, redacted: bool, now: Now) -> Result<Option<Hold>, Refusal> {
    let DeclaredHold { mode, reason, by, until } = hold;
    let left = until.duration_since(now.wall);
    if left > SignedDuration::from_secs(i64::try_from(HOLD_SECONDS_MAX).unwrap_or(i64::MAX)) {
        let message = format!("until is more than {HOLD_SECONDS_MAX} s away");
        return Err(Refusal::new(ErrorCode::InvalidArgument, message)
            .hint("a hold ends within a day; for longer, change spec.mode"));
    }
    let left_ms = i64::try_from(left.as_millis()).unwrap_or(0);
    let until_ms = now.ms.saturating_add(left_ms);
    Ok((left_ms > 0).then_some(Hold { mode, reason, by, redacted, since: now.wall, until, until_ms }))
}

/// Whether two holds declare the same. The time at which they arrived differs.
fn same(one: Option<&Hold>, other: Option<&Hold>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            (one.mode, &one.reason, &one.by, one.until) == (other.mode, &other.reason, &other.by, other.until)
        }
        _ => false,
    }
}

impl Engine {
    /// Checks who changes the mode and why, and returns both as they may be stored and shown, with whether the policy
    /// changed them. The policy is that of everything that is written, because the transition is recorded in the log.
    ///
    /// # Errors
    /// A text is not valid, or contains a secret.
    pub(crate) async fn hold_texts(&self, reason: &str, by: &str) -> Result<(String, String, bool), Refusal> {
        check_hold_texts(reason, by).map_err(|fault| {
            Refusal::new(ErrorCode::InvalidArgument, fault.to_string())
                .hint("say who changes the mode, and why")
        })?;
        let texts = Texts { reason: reason.into(), by: by.into() };
        let payload = serde_json::value::to_raw_value(&texts).map_err(|fault| internal(&fault))?;
        let passed = self.apply_policy(vec![own_event(payload)]).await?.into_drafts();
        let Some(draft) = passed.first() else { return Err(internal(&"the policy returned no event")) };
        let stored: Texts<'_> =
            serde_json::from_str(draft.payload.get()).map_err(|fault| internal(&fault))?;
        let redacted = stored.reason != reason || stored.by != by;
        Ok((stored.reason.into_owned(), stored.by.into_owned(), redacted))
    }
}

/// The texts of a hold as fields of an event.
#[derive(Serialize, Deserialize)]
struct Texts<'a> {
    reason: Cow<'a, str>,
    by: Cow<'a, str>,
}
