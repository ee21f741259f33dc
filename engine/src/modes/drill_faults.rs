//! Faults that a drill injects: calls of the embedding service end as if it had failed. Nothing is sent to the service,
//! so that no other engine notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use engine_core::guard::{Dependency, Guard, GuardSettings, Now};
use engine_core::mode::Mode;
use engine_core::request::Refused;
use engine_core::wire::{
    ActiveFault, DRILL_FAULT_SECONDS_MAX, DrillFaultKind, DrillFaultsHealth, ErrorCode, InjectFault,
};
use engine_retrieval::providers::Failure;
use jiff::SignedDuration;

use super::Modes;
use crate::refusal::Refusal;

/// Longest hold of the guard because of a drill, milliseconds. The configured hold is minutes, because a service that
/// fails needs time; a drill ends its fault by itself.
const HOLD_MS: i64 = 2_000;
/// Longest hold after probes have failed. The circuit breaker makes them fail for five seconds more.
const HOLD_MAX_MS: i64 = 4_000;

/// Whether faults can be injected, and the one that lasts.
#[derive(Debug, Default)]
pub(super) struct DrillFaults {
    /// Whether the engine was started for that.
    is_allowed: AtomicBool,
    active: Mutex<Option<Active>>,
    /// Whether holds are short: from a fault until the guard has turned reads on again.
    is_recovering: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Active {
    shown: ActiveFault,
    /// The end, on the clock of the guard, which nobody sets.
    until_ms: i64,
}

impl DrillFaults {
    fn active(&self, now: Now) -> Option<ActiveFault> {
        let active = *self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.filter(|active| active.until_ms > now.ms).map(|active| active.shown)
    }

    /// The parameters of the guard, if a drill changes them.
    pub(super) fn settings(
        &self,
        guard: &Guard,
        now: Now,
        configured: &GuardSettings,
    ) -> Option<GuardSettings> {
        if !self.is_recovering.load(Ordering::Acquire) {
            return None;
        }
        if self.active(now).is_none() && guard.automatic.allowed() == Mode::ReadWrite {
            self.is_recovering.store(false, Ordering::Release);
            return None;
        }
        Some(GuardSettings {
            hold_ms: configured.hold_ms.min(HOLD_MS),
            hold_max_ms: configured.hold_max_ms.min(HOLD_MAX_MS),
            ..configured.clone()
        })
    }
}

impl Modes {
    /// Lets drills inject faults.
    pub(crate) fn allow_drill_faults(&self) {
        self.drill_faults.is_allowed.store(true, Ordering::Release);
        tracing::warn!("drills may inject faults into calls of the embedding service");
    }

    /// Whether faults can be injected, for the health report; `None` if not.
    pub(crate) fn drill_faults_health(&self) -> Option<DrillFaultsHealth> {
        let is_allowed = self.drill_faults.is_allowed.load(Ordering::Acquire);
        is_allowed.then(|| DrillFaultsHealth { allowed: true, fault: self.drill_faults.active(self.now()) })
    }

    /// The failure with which a call of a dependency ends now.
    pub(super) fn drill_failure(&self, dependency: Dependency) -> Option<Failure> {
        // Without the flag nothing is locked.
        if dependency != Dependency::Embedding || !self.drill_faults.is_allowed.load(Ordering::Acquire) {
            return None;
        }
        let fault = self.drill_faults.active(self.now())?;
        Some(Failure::Status(match fault.kind {
            DrillFaultKind::Authentication => 401,
            DrillFaultKind::Failure => 503,
        }))
    }

    /// Makes calls of the embedding service fail for some time. A fault that lasts is replaced.
    ///
    /// # Errors
    /// The engine was not started for that, or the time is too long.
    pub(crate) fn inject_drill_fault(&self, request: InjectFault) -> Result<DrillFaultsHealth, Refusal> {
        let InjectFault { kind, seconds } = request;
        self.check_allowed()?;
        if !(1..=DRILL_FAULT_SECONDS_MAX).contains(&seconds) {
            return Err(Refused::Body(format!("seconds must be 1 to {DRILL_FAULT_SECONDS_MAX}")).into());
        }
        let (now, seconds) = (self.now(), i64::try_from(seconds).unwrap_or(1));
        let until = now.wall.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now.wall);
        let active = Active { shown: ActiveFault { kind, until }, until_ms: now.ms + seconds * 1_000 };
        tracing::warn!(kind = kind.as_str(), seconds, "a drill makes calls of the embedding service fail");
        self.drill_faults.is_recovering.store(true, Ordering::Release);
        *self.drill_faults.active.lock().unwrap_or_else(PoisonError::into_inner) = Some(active);
        Ok(DrillFaultsHealth { allowed: true, fault: Some(active.shown) })
    }

    /// Ends a fault, if one lasts.
    ///
    /// # Errors
    /// The engine was not started for that.
    pub(crate) fn end_drill_fault(&self) -> Result<DrillFaultsHealth, Refusal> {
        self.check_allowed()?;
        *self.drill_faults.active.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(DrillFaultsHealth { allowed: true, fault: None })
    }

    fn check_allowed(&self) -> Result<(), Refusal> {
        if self.drill_faults.is_allowed.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::Forbidden, "the engine was not started with --allow-drill-faults")
            .hint("nothing was done; docs/guide/drills.md"))
    }

    /// Sets the gauge of the fault.
    pub(super) fn set_drill_gauge(&self) {
        self.metrics.set_drill_fault(self.drill_faults.active(self.now()).map(|fault| fault.kind));
    }
}
