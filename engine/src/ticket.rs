//! The public port of an engine: it answers only while the engine holds a ticket.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine_core::digest::Hash;
use engine_core::ticket::{Gate, TicketFault};
use engine_core::wire::{DeliverTicket, TicketHealth, TicketState};
use engine_log::Clock;
use tokio::sync::watch;

use crate::metrics::TicketMetrics;

/// Time between two looks at whether the ticket has ended. Requests look themselves; this is for open connections.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The gate of the public port.
#[derive(Debug)]
pub(crate) struct PublicGate {
    gate: Mutex<Gate>,
    /// Times count from here.
    started: Instant,
    clock: Clock,
    /// Whether the port answers, for connections that wait for it to close.
    open: watch::Sender<bool>,
    metrics: TicketMetrics,
}

impl PublicGate {
    pub(crate) fn new(clock: Clock, metrics: TicketMetrics) -> PublicGate {
        PublicGate {
            gate: Mutex::new(Gate::new(challenge(&clock))),
            started: Instant::now(),
            clock,
            open: watch::Sender::new(false),
            metrics,
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a verdict of the operator about the log with this id.
    ///
    /// # Errors
    /// It is not accepted.
    pub(crate) fn deliver(
        &self,
        delivered: &DeliverTicket,
        log_id: &str,
    ) -> Result<TicketHealth, TicketFault> {
        let now = self.started.elapsed();
        let next = challenge(&self.clock);
        let delivery = self.gate().deliver(delivered, log_id, now, next);
        let outcome = match (&delivery, delivered.is_open) {
            (Err(_), _) => "refused",
            (Ok(()), true) => "accepted",
            (Ok(()), false) => "withdrawn",
        };
        self.metrics.tickets.with_label_values(&[outcome]).inc();
        self.look();
        delivery.map(|()| self.health())
    }

    /// Whether requests are answered now.
    pub(crate) fn is_open(&self) -> bool {
        self.gate().is_open(self.started.elapsed())
    }

    /// What is held, for the health report.
    pub(crate) fn health(&self) -> TicketHealth {
        self.gate().health(self.started.elapsed())
    }

    /// Tells when the port closes.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.open.subscribe()
    }

    /// Sets the gauges to the current state.
    pub(crate) fn set_gauges(&self) {
        let now = self.started.elapsed();
        let (is_open, times) = {
            let gate = self.gate();
            (gate.is_open(now), gate.times(now))
        };
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        self.metrics.open.set(i64::from(is_open));
        self.metrics.age.set(times.map_or(-1, |(age, _)| seconds(age)));
        self.metrics.remaining.set(times.map_or(-1, |(_, left)| seconds(left)));
    }

    /// Tells open connections whether the port answers, and the log if that has changed.
    fn look(&self) {
        let state = self.gate().state(self.started.elapsed());
        let is_changed = self.open.send_if_modified(|open| std::mem::replace(open, state.is_open()) != *open);
        match state {
            _ if !is_changed => {}
            TicketState::Open | TicketState::Kept => {
                tracing::info!("the public port is open: the operator has delivered a ticket");
            }
            TicketState::None | TicketState::Expired | TicketState::Withdrawn => {
                tracing::warn!(?state, "the public port is closed");
            }
        }
    }

    /// Looks whether the ticket has ended, until the process ends.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            self.look();
        }
    }
}

/// A challenge that nobody can guess or have seen before.
fn challenge(clock: &Clock) -> String {
    Hash::of(&clock.bytes::<32>()).to_string()
}
