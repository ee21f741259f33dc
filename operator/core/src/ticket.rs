//! The ticket: when it is delivered, renewed and withdrawn.

use crds::TicketFailMode;
use engine_core::wire::{OnExpiry, Teller, TicketHealth};
use sha2::{Digest, Sha256};

use crate::{
    exposure::Check,
    observed::{EngineReport, Observed},
    plan::Ticket,
};

/// What the engine should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A ticket that names the checks that hold.
    Open(Vec<Check>),
    /// The ticket that it holds, renewed: the spec is not valid or suspended, and nothing about the exposure changes.
    AsBefore,
    /// None.
    Nothing,
}

/// The ticket or the withdrawal that the engine needs now; `None` if it needs nothing, has not reported, or has no
/// public port.
#[must_use]
pub fn due(observed: &Observed, fail_mode: Option<TicketFailMode>, wanted: &Wanted) -> Option<Ticket> {
    let EngineReport::Answered(health) = &observed.writer().report else { return None };
    let held = health.ticket.as_ref()?;
    let metadata = &observed.engine.metadata;
    let ticket = Ticket {
        challenge: held.challenge.clone(),
        told_by: Teller {
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
        },
        log_id: health.log.id.clone(),
        is_open: true,
        on_expiry: fail_mode.map_or(OnExpiry::Close, on_expiry),
        checks: held.checks.clone(),
    };
    match (wanted, fail_mode) {
        (Wanted::Open(checks), Some(_)) => {
            let checks = checks.iter().map(|check| check.word().to_owned()).collect();
            let ticket = Ticket { checks, ..ticket };
            (!is_held(held, &ticket) || is_old(held, &ticket.told_by.uid)).then_some(ticket)
        }
        (Wanted::AsBefore, Some(_)) => {
            (held.state.is_open() && is_old(held, &ticket.told_by.uid)).then_some(ticket)
        }
        (Wanted::Nothing, _) | (_, None) => {
            held.state.is_open().then_some(Ticket { is_open: false, ..ticket })
        }
    }
}

fn on_expiry(fail_mode: TicketFailMode) -> OnExpiry {
    match fail_mode {
        TicketFailMode::Close => OnExpiry::Close,
        TicketFailMode::KeepLast => OnExpiry::KeepLast,
    }
}

/// Whether the engine holds what this ticket says.
fn is_held(held: &TicketHealth, ticket: &Ticket) -> bool {
    held.state.is_open()
        && held.told_by.as_ref() == Some(&ticket.told_by)
        && held.on_expiry == Some(ticket.on_expiry)
        && held.checks == ticket.checks
}

/// Whether a third to a half of the lifetime has passed: two more attempts are made before it ends, with many
/// reconciles in each. Engines that were exposed together are not renewed together.
fn is_old(held: &TicketHealth, uid: &str) -> bool {
    let (Some(lifetime), Some(left)) = (held.ttl_seconds, held.remaining_seconds) else { return true };
    let spread = u64::from(Sha256::digest(uid.as_bytes()).first().copied().unwrap_or_default());
    // Between a half and two thirds of the lifetime, in steps of 1/1536 of it.
    let at = lifetime.saturating_mul(768 + spread) / 1536;
    left <= at
}

/// Replaces the ticket in the report by what the engine answered, so that the status is based on it.
pub fn acknowledge_ticket(observed: &mut Observed, ticket: TicketHealth) {
    if let EngineReport::Answered(health) = &mut observed.writer_mut().report {
        health.ticket = Some(ticket);
    }
}
