//! The gate of the public port: it answers only while the engine holds a ticket, the operator's verdict that clients
//! outside of the cluster may reach it.
//!
//! A ticket is delivered over the admin port and kept in memory. It lives for a duration of the engine's own monotonic
//! clock, so that no clock of another machine counts. Times here are durations since an arbitrary moment of that clock.

use std::time::Duration;

use crate::wire::{DeliverTicket, OnExpiry, Teller, TicketHealth, TicketState};

/// Bounds of the lifetime of a ticket, seconds: an engine does not serve for hours on a verdict that nobody repeats.
pub const TICKET_SECONDS_MIN: u32 = 1;
pub const TICKET_SECONDS_MAX: u32 = 3_600;
/// Most checks in a ticket, and the longest name of one, characters.
pub const TICKET_CHECKS_MAX: usize = 16;
pub const TICKET_CHECK_CHARS_MAX: usize = 32;

/// Why a ticket is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketFault {
    /// The engine has accepted another one since it gave out this challenge, or never gave it out.
    #[error("the challenge is not the newest one: the ticket is old, or for another process")]
    Challenge,
    /// It is about another log.
    #[error("the ticket is for another log")]
    Log,
    /// It is from another resource than the one before.
    #[error("the ticket is from another resource")]
    Resource,
    /// It is from an older generation than the one before.
    #[error("generation {0} of the resource is older than {1}, which was accepted")]
    Generation(i64, i64),
    /// A part has a value that is not possible.
    #[error("{0}")]
    Form(&'static str),
}

/// What the engine holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Nothing,
    Withdrawn,
    Ticket { from: Duration, lifetime: Duration, on_expiry: OnExpiry, checks: Vec<String> },
}

/// The gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    challenge: String,
    told_by: Option<Teller>,
    held: Held,
}

impl Gate {
    /// A gate without a ticket. The challenge is random, so that no ticket for another process is accepted.
    #[must_use]
    pub fn new(challenge: String) -> Gate {
        Gate { challenge, told_by: None, held: Held::Nothing }
    }

    /// Takes over a verdict about the log `log_id`. Then `next` is the challenge. A withdrawal is always accepted: to
    /// close is never wrong, and must not fail because something else has changed.
    ///
    /// # Errors
    /// The ticket is not accepted, and nothing has changed.
    pub fn deliver(
        &mut self,
        delivered: &DeliverTicket,
        log_id: &str,
        now: Duration,
        next: String,
    ) -> Result<(), TicketFault> {
        if delivered.is_open {
            self.check(delivered, log_id)?;
            let lifetime = Duration::from_secs(delivered.ttl_seconds.into());
            let (on_expiry, checks) = (delivered.on_expiry, delivered.checks.clone());
            self.held = Held::Ticket { from: now, lifetime, on_expiry, checks };
            self.told_by = Some(delivered.told_by.clone());
        } else {
            self.held = Held::Withdrawn;
        }
        self.challenge = next;
        Ok(())
    }

    fn check(&self, delivered: &DeliverTicket, log_id: &str) -> Result<(), TicketFault> {
        let DeliverTicket { challenge, told_by, log_id: of_log, ttl_seconds, checks, .. } = delivered;
        if *challenge != self.challenge {
            return Err(TicketFault::Challenge);
        }
        if of_log != log_id {
            return Err(TicketFault::Log);
        }
        if let Some(last) = &self.told_by {
            if last.uid != told_by.uid {
                return Err(TicketFault::Resource);
            }
            if last.generation > told_by.generation {
                return Err(TicketFault::Generation(told_by.generation, last.generation));
            }
        }
        if !(TICKET_SECONDS_MIN..=TICKET_SECONDS_MAX).contains(ttl_seconds) {
            return Err(TicketFault::Form("ttl_seconds must be 1 to 3600"));
        }
        let is_check = |check: &String| {
            let bytes = check.as_bytes();
            (1..=TICKET_CHECK_CHARS_MAX).contains(&bytes.len())
                && bytes.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_')
        };
        if checks.len() > TICKET_CHECKS_MAX || !checks.iter().all(is_check) {
            return Err(TicketFault::Form("checks must be at most 16 words of 32 letters and underscores"));
        }
        Ok(())
    }

    /// What is held now.
    #[must_use]
    pub fn state(&self, now: Duration) -> TicketState {
        match &self.held {
            Held::Nothing => TicketState::None,
            Held::Withdrawn => TicketState::Withdrawn,
            Held::Ticket { from, lifetime, .. } if now.saturating_sub(*from) < *lifetime => TicketState::Open,
            Held::Ticket { on_expiry: OnExpiry::KeepLast, .. } => TicketState::Kept,
            Held::Ticket { on_expiry: OnExpiry::Close, .. } => TicketState::Expired,
        }
    }

    /// Whether requests of the public port are answered now.
    #[must_use]
    pub fn is_open(&self, now: Duration) -> bool {
        self.state(now).is_open()
    }

    /// Age of the ticket, and what is left of its life; `None` if none is held.
    #[must_use]
    pub fn times(&self, now: Duration) -> Option<(Duration, Duration)> {
        let Held::Ticket { from, lifetime, .. } = &self.held else { return None };
        let age = now.saturating_sub(*from);
        Some((age, lifetime.saturating_sub(age)))
    }

    /// The report.
    #[must_use]
    pub fn health(&self, now: Duration) -> TicketHealth {
        let (ttl_seconds, on_expiry, checks) = match &self.held {
            Held::Ticket { lifetime, on_expiry, checks, .. } => {
                (Some(lifetime.as_secs()), Some(*on_expiry), checks.clone())
            }
            Held::Nothing | Held::Withdrawn => (None, None, Vec::new()),
        };
        TicketHealth {
            challenge: self.challenge.clone(),
            state: self.state(now),
            told_by: self.told_by.clone(),
            ttl_seconds,
            remaining_seconds: self.times(now).map(|(_, left)| left.as_secs()),
            on_expiry,
            checks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ticket(challenge: &str) -> DeliverTicket {
        DeliverTicket {
            challenge: challenge.to_owned(),
            told_by: Teller { uid: "uid".to_owned(), generation: 3 },
            log_id: "log".to_owned(),
            is_open: true,
            ttl_seconds: 300,
            on_expiry: OnExpiry::Close,
            checks: vec!["access".to_owned(), "log_integrity".to_owned()],
        }
    }

    /// A gate that has accepted one ticket at the start of its clock; its challenge is `b`.
    fn open(on_expiry: OnExpiry) -> Gate {
        let mut gate = Gate::new("a".to_owned());
        gate.deliver(&DeliverTicket { on_expiry, ..ticket("a") }, "log", at(0), "b".to_owned()).unwrap();
        gate
    }

    #[test]
    fn a_gate_is_closed_until_a_ticket_comes_and_again_when_it_ends() {
        let fresh = Gate::new("a".to_owned());
        assert_eq!((fresh.state(at(0)), fresh.is_open(at(0))), (TicketState::None, false));
        let gate = open(OnExpiry::Close);
        let states = [0, 299, 300, 100_000].map(|seconds| gate.state(at(seconds)));
        use TicketState::{Expired, Open};
        assert_eq!(states, [Open, Open, Expired, Expired]);
        assert_eq!(gate.times(at(299)), Some((at(299), at(1))));
        assert_eq!(gate.health(at(301)).remaining_seconds, Some(0));
    }

    #[test]
    fn the_last_verdict_is_kept_if_the_spec_wants_that_and_a_withdrawal_closes_all_the_same() {
        let mut gate = open(OnExpiry::KeepLast);
        assert_eq!([299, 300, 100_000].map(|seconds| gate.is_open(at(seconds))), [true; 3]);
        assert_eq!(gate.state(at(300)), TicketState::Kept);
        // Whatever else it says.
        let withdrawal = DeliverTicket {
            is_open: false,
            log_id: "another".to_owned(),
            told_by: Teller { uid: "another".to_owned(), generation: 1 },
            ..ticket("old")
        };
        gate.deliver(&withdrawal, "log", at(400), "c".to_owned()).unwrap();
        assert_eq!((gate.state(at(400)), gate.is_open(at(400))), (TicketState::Withdrawn, false));
        // A ticket that was made before the withdrawal is late.
        assert_eq!(gate.deliver(&ticket("b"), "log", at(401), "d".to_owned()), Err(TicketFault::Challenge));
        gate.deliver(&ticket("c"), "log", at(402), "d".to_owned()).unwrap();
        assert!(gate.is_open(at(402)));
    }

    #[test]
    fn a_ticket_that_is_not_for_this_moment_log_and_resource_changes_nothing() {
        let gate = open(OnExpiry::Close);
        let teller = |uid: &str, generation| Teller { uid: uid.to_owned(), generation };
        let good = ticket("b");
        let long = "x".repeat(TICKET_CHECK_CHARS_MAX + 1);
        let cases = [
            (ticket("a"), TicketFault::Challenge),
            (ticket(""), TicketFault::Challenge),
            (DeliverTicket { log_id: "another".to_owned(), ..good.clone() }, TicketFault::Log),
            (DeliverTicket { told_by: teller("another", 9), ..good.clone() }, TicketFault::Resource),
            (DeliverTicket { told_by: teller("uid", 2), ..good.clone() }, TicketFault::Generation(2, 3)),
        ];
        for (bad, fault) in cases {
            let mut tried = gate.clone();
            assert_eq!(tried.deliver(&bad, "log", at(1), "c".to_owned()), Err(fault));
            assert_eq!(tried, gate);
        }
        for bad in [
            DeliverTicket { ttl_seconds: 0, ..good.clone() },
            DeliverTicket { ttl_seconds: 3_601, ..good.clone() },
            DeliverTicket { checks: vec!["a".to_owned(); 17], ..good.clone() },
            DeliverTicket { checks: vec![long], ..good.clone() },
            DeliverTicket { checks: vec!["\u{1b}".to_owned()], ..good.clone() },
        ] {
            let mut tried = gate.clone();
            let refused = tried.deliver(&bad, "log", at(1), "c".to_owned());
            assert!(matches!(refused, Err(TicketFault::Form(_))), "{bad:?}");
            assert_eq!(tried, gate);
        }
        // The same ticket twice: the second one is a replay.
        let mut twice = gate.clone();
        twice.deliver(&good, "log", at(200), "c".to_owned()).unwrap();
        assert_eq!(twice.state(at(450)), TicketState::Open, "renewed");
        assert_eq!(twice.deliver(&good, "log", at(450), "d".to_owned()), Err(TicketFault::Challenge));
        let newer = DeliverTicket { told_by: teller("uid", 4), ..ticket("c") };
        twice.deliver(&newer, "log", at(451), "d".to_owned()).unwrap();
        assert_eq!(twice.health(at(451)).told_by, Some(teller("uid", 4)));
    }
}
