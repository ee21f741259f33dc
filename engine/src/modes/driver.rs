//! The task that runs the guard: it tells it the time, starts its probes, writes the file and records transitions.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use engine_core::guard::{Effect, Input};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Modes;
use super::at_start::compare;
use crate::engine::Engine;

/// How often the guard is told the time. Holds end and slow calls are noticed this much later at most.
const TICK: Duration = Duration::from_millis(100);
/// How often the time that is left of a hold is written. After a crash a hold is longer by this at most.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);

/// Runs the guard until the task is dropped.
pub(crate) async fn drive(engine: Arc<Engine>) {
    let effects = engine.modes.to_run.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(mut effects) = effects else { return };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut saved_at = Instant::now();
    let mut comparing = std::pin::pin!(compare(Arc::clone(&engine)));
    loop {
        tokio::select! {
            () = &mut comparing, if !engine.modes.is_compared() => {}
            _ = ticks.tick() => {
                engine.modes.step(&Input::Tick);
                read_again(&engine.modes).await;
                if saved_at.elapsed() >= SAVE_INTERVAL {
                    saved_at = Instant::now();
                    engine.modes.mark_if_held();
                }
            }
            effect = effects.recv() => {
                let Some(Effect::Probe { number, .. }) = effect else { return };
                tokio::spawn(probe(Arc::clone(&engine), number));
            }
            () = engine.modes.changed.notified() => {}
        }
        save(&engine.modes).await;
        engine.record_transitions().await;
    }
}

async fn probe(engine: Arc<Engine>, number: u64) {
    let budget = Duration::from_millis(engine.modes.settings.probe_budget_ms.unsigned_abs());
    let passed = engine.probe(budget).await;
    engine.modes.metrics.probes.with_label_values(&[if passed { "passed" } else { "failed" }]).inc();
    engine.modes.step(&Input::ProbeEnded { number, passed });
}

/// Tries again to read the file, if it could not be read at the start.
async fn read_again(modes: &Arc<Modes>) {
    if modes.unread.load(std::sync::atomic::Ordering::Acquire) {
        let modes = Arc::clone(modes);
        // Its fault was logged at the start.
        let _read = tokio::task::spawn_blocking(move || modes.read_again()).await;
    }
}

async fn save(modes: &Arc<Modes>) {
    let modes = Arc::clone(modes);
    if modes.unsaved.load(std::sync::atomic::Ordering::Acquire) {
        let saved = tokio::task::spawn_blocking(move || modes.save()).await;
        if let Ok(Err(fault)) = saved {
            tracing::warn!(%fault, "the mode was not written to the volume; it is tried again");
        }
    }
}

impl Modes {
    /// Makes the next save write the time that is left, if there is a hold.
    pub(super) fn mark_if_held(&self) {
        let state = self.state();
        let guard = &state.guard;
        if guard.direct.is_some() || guard.declared.is_some() || !guard.automatic.allowed().reads() {
            self.unsaved.store(true, std::sync::atomic::Ordering::Release);
        }
    }
}
