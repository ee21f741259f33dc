//! The requests that change the mode. Each is durable before it is answered, if the volume works.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine_core::guard::{HOLD_SECONDS_MAX, Hold, Input, Now};
use engine_core::request::Refused;
use engine_core::wire::{DeclareHold, DeclaredHold, ErrorCode, ForceMode, ModeReport, Teller, WantMode};
use jiff::SignedDuration;

use super::recorder::own_event;
use super::{Modes, Recorded};
use crate::engine::Engine;
use crate::refusal::{Refusal, ended, internal};
use service::in_span;

/// Longest reason of a hold, and longest name of who set it, characters.
const REASON_CHARS_MAX: usize = 500;
const BY_CHARS_MAX: usize = 128;

impl Modes {
    /// Sets the wanted mode, as the resource says.
    ///
    /// # Errors
    /// A newer generation of the same resource has already said something else.
    pub(crate) async fn want(self: &Arc<Self>, request: WantMode) -> Result<ModeReport, Refusal> {
        let WantMode { mode, told_by } = request;
        let recorded = {
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
            if is_first { Recorded::Nowhere } else { Recorded::InTheLog }
        };
        self.step_and(&Input::Want { mode }, recorded);
        self.durable().await
    }

    /// Sets or removes the hold that the resource declares. A hold that has expired counts as none.
    ///
    /// # Errors
    /// The hold is not valid.
    pub(crate) async fn declare(self: &Arc<Self>, request: DeclareHold) -> Result<ModeReport, Refusal> {
        let now = self.now();
        let hold = request.hold.map(|hold| declared(hold, now)).transpose()?.flatten();
        let unchanged = {
            let state = self.state();
            same(state.guard.declared.as_ref(), hold.as_ref())
        };
        if !unchanged {
            self.step(&Input::Declare { hold });
        }
        self.durable().await
    }

    /// Sets a hold at this engine.
    ///
    /// # Errors
    /// The hold is not valid.
    pub(crate) async fn force(self: &Arc<Self>, request: ForceMode) -> Result<ModeReport, Refusal> {
        let now = self.now();
        let ForceMode { mode, reason, by, ttl_seconds } = request;
        if !(1..=HOLD_SECONDS_MAX).contains(&ttl_seconds) {
            return Err(Refused::Range { field: "ttl_seconds", min: 1, max: HOLD_SECONDS_MAX }.into());
        }
        check_texts(&reason, &by)?;
        let until_ms = now.ms.saturating_add(i64::try_from(ttl_seconds).unwrap_or(0) * 1_000);
        let hold = Hold { mode, reason, by, since: now.wall, until: now.wall_at(until_ms), until_ms };
        self.step(&Input::Force { hold });
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

/// The hold with its end on the monotonic clock; `None` if it has expired.
fn declared(hold: DeclaredHold, now: Now) -> Result<Option<Hold>, Refusal> {
    let DeclaredHold { mode, reason, by, until } = hold;
    check_texts(&reason, &by)?;
    let left = until.duration_since(now.wall);
    if left > SignedDuration::from_secs(i64::try_from(HOLD_SECONDS_MAX).unwrap_or(i64::MAX)) {
        let message = format!("until is more than {HOLD_SECONDS_MAX} s away");
        return Err(Refusal::new(ErrorCode::InvalidArgument, message)
            .hint("a hold ends within a day; for longer, change spec.mode"));
    }
    let left_ms = i64::try_from(left.as_millis()).unwrap_or(0);
    let until_ms = now.ms.saturating_add(left_ms);
    Ok((left_ms > 0).then_some(Hold { mode, reason, by, since: now.wall, until, until_ms }))
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

fn check_texts(reason: &str, by: &str) -> Result<(), Refusal> {
    for (field, text, max) in [("reason", reason, REASON_CHARS_MAX), ("by", by, BY_CHARS_MAX)] {
        let count = text.chars().count();
        if text.trim().is_empty() || count > max || text.chars().any(char::is_control) {
            let message = format!("{field} must have 1 to {max} characters, without control characters");
            return Err(
                Refusal::new(ErrorCode::InvalidArgument, message).hint("say who holds the mode, and why")
            );
        }
    }
    Ok(())
}

impl Engine {
    /// Refuses a hold whose texts the policy does not allow in the log, where the transition is recorded.
    ///
    /// # Errors
    /// A text contains a secret.
    pub(crate) async fn check_hold(&self, reason: &str, by: &str) -> Result<(), Refusal> {
        let payload = serde_json::value::to_raw_value(&serde_json::json!({"reason": reason, "by": by}))
            .map_err(|fault| internal(&fault))?;
        self.apply_policy(vec![own_event(payload)]).await?;
        Ok(())
    }
}
