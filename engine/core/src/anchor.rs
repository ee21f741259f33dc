//! Verifies a log against a state of it that was recorded outside of its volume.
//!
//! A log that is consistent in itself may still not be the original: a dropped tail, an older copy of the volume, or a
//! rewritten history are all consistent. An anchor is a state of the log that is stored where the log's writer cannot
//! change it, so that comparing it with the log reveals all three. A tail that was dropped by hand cannot be
//! distinguished from an older copy of the volume: both are [`IntegrityFaultKind::Truncated`].

use thiserror::Error;

use crate::digest::Hash;
use crate::wire::{AcceptedRollback, Anchor, GivenAnchor, IntegrityFault, IntegrityFaultKind};

/// Facts about the log found on the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFacts {
    /// Origin of the log, as returned by [`crate::checkpoint::origin`].
    pub origin: String,
    /// Number of events that verify.
    pub size: u64,
    /// Root of the Merkle tree over the first [`needed_root`] events; None if the log has fewer events.
    pub root_at_anchor: Option<Hash>,
    /// Size of the largest checkpoint that is signed with the log's own key and matches the log; 0 if there is none.
    pub signed_size: u64,
}

/// The number of events over which [`LogFacts::root_at_anchor`] must be computed to judge this anchor; None if the
/// anchor needs no root.
pub fn needed_root(given: &GivenAnchor) -> Option<u64> {
    match given {
        GivenAnchor::Known { anchor, .. } => Some(anchor.size),
        GivenAnchor::New | GivenAnchor::Missing => None,
    }
}

/// The given anchor is malformed. The caller is at fault; the log was not judged. Contains the name of the malformed
/// field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the {0} of the anchor is malformed")]
pub struct AnchorForm(pub &'static str);

/// Checks the form of a given anchor. Call this function before the other functions of this module.
///
/// # Errors
///
/// The field that is malformed.
pub fn check_form(given: &GivenAnchor) -> Result<(), AnchorForm> {
    let GivenAnchor::Known { anchor, accepted } = given else { return Ok(()) };
    let is_root = |text: &str| Hash::from_hex(text.as_bytes()).is_some();
    let mut fields = vec![
        ("origin", !anchor.origin.is_empty()),
        ("size", i64::try_from(anchor.size).is_ok()),
        ("root", is_root(&anchor.root)),
    ];
    if let Some(accepted) = accepted {
        fields.extend([
            ("accepted.number", (1..=anchor.rollbacks).contains(&accepted.number)),
            ("accepted.from_root", is_root(&accepted.from_root)),
            ("accepted.to_root", is_root(&accepted.to_root)),
            ("accepted.to_size", accepted.to_size <= anchor.size),
        ]);
    }
    fields.into_iter().find(|(_, right)| !right).map_or(Ok(()), |(field, _)| Err(AnchorForm(field)))
}

/// Checks that the log equals or extends the state that `given` records.
///
/// # Errors
///
/// How the log differs, and what the administrator can do.
pub fn judge(given: &GivenAnchor, log: &LogFacts) -> Result<(), IntegrityFault> {
    let anchor = match given {
        GivenAnchor::New => return Ok(()),
        GivenAnchor::Missing if log.size == 0 => return Ok(()),
        GivenAnchor::Missing => return Err(anchor_missing(log)),
        GivenAnchor::Known { anchor, .. } => anchor,
    };
    if anchor.origin != log.origin {
        return Err(foreign(anchor, log));
    }
    if log.size < anchor.size {
        return Err(truncated(anchor, log));
    }
    let same = log.root_at_anchor.is_some_and(|root| root.to_string() == anchor.root);
    match same {
        true => Ok(()),
        false if log.signed_size >= anchor.size && anchor.size > 0 => Err(forked(anchor)),
        false => Err(rewritten(anchor)),
    }
}

fn fault(kind: IntegrityFaultKind, seq: u64, message: String) -> IntegrityFault {
    IntegrityFault { kind, message, seq, segment: None, line: None, byte: None }
}

fn truncated(anchor: &Anchor, log: &LogFacts) -> IntegrityFault {
    let (size, anchored) = (log.size, anchor.size);
    let message = format!(
        "the log ends at event {size}, but event {anchored} was anchored: the tail was dropped, or the volume is an older \
         copy; attach the volume or restore the backup that has event {anchored}, or accept with \
         spec.integrity.acceptRollback that the events after {size} are lost"
    );
    fault(IntegrityFaultKind::Truncated, size + 1, message)
}

fn foreign(anchor: &Anchor, log: &LogFacts) -> IntegrityFault {
    let message = format!(
        "this is the log {}, but {} was anchored: the volume belongs to another engine; attach the volume of this one",
        log.origin, anchor.origin
    );
    fault(IntegrityFaultKind::ForeignLog, 0, message)
}

fn forked(anchor: &Anchor) -> IntegrityFault {
    let size = anchor.size;
    let message = format!(
        "the first {size} events are not those that were anchored, and this log's own key signed both: the log was \
         continued from an older copy of its volume, or two copies were written to; keep both volumes, attach the \
         one whose root at {size} is {}, or accept this log with spec.integrity.acceptRollback",
        anchor.root
    );
    fault(IntegrityFaultKind::Forked, 0, message)
}

fn rewritten(anchor: &Anchor) -> IntegrityFault {
    let size = anchor.size;
    let message = format!(
        "the first {size} events are not those that were anchored, and this log's key did not sign them: \
         the log was rewritten; keep the volume as evidence and restore the backup whose root at {size} is {}",
        anchor.root
    );
    fault(IntegrityFaultKind::Rewritten, 0, message)
}

fn anchor_missing(log: &LogFacts) -> IntegrityFault {
    let message = format!(
        "the log has {} events, but no anchor was recorded for it: compare its head with a backup or a receipt, \
         then accept it with spec.integrity.acceptRollback",
        log.size
    );
    fault(IntegrityFaultKind::AnchorMissing, 0, message)
}

/// Whether the first anchor is older than the second: it has fewer accepted rollbacks or, if equal, a smaller size.
pub fn is_older(anchor: &Anchor, than: &Anchor) -> bool {
    (anchor.rollbacks, anchor.size) < (than.rollbacks, than.size)
}

/// The anchors given to this engine that still matter: the newest one, the newest one that the log extends, and the
/// fault that the newest one revealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    newest: Option<Anchor>,
    extended: Option<Anchor>,
    fault: Option<IntegrityFault>,
}

/// Result of passing an anchor to [`Held::take`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A newer anchor is already known; the given one is ignored.
    Older,
    /// The log extends the anchor. An accepted rollback must be recorded as an event, once, under the idempotency key
    /// [`rollback_key`].
    Extends(Option<AcceptedRollback>),
    /// The log contradicts the anchor: nothing may be written to the log.
    Contradicts,
}

impl Held {
    /// The newest anchor that the log extends.
    pub fn anchor(&self) -> Option<&Anchor> {
        self.extended.as_ref()
    }

    /// The fault that comparing the log with the newest anchor revealed.
    pub fn fault(&self) -> Option<&IntegrityFault> {
        self.fault.as_ref()
    }

    /// Verifies the log against an anchor, unless a newer anchor was given before. A later anchor can clear a fault,
    /// because an anchor with more accepted rollbacks is newer than the one that was contradicted.
    pub fn take(&mut self, given: &GivenAnchor, log: &LogFacts) -> Taken {
        let older = match (given, &self.newest) {
            (GivenAnchor::Known { anchor, .. }, Some(newest)) => is_older(anchor, newest),
            (GivenAnchor::New | GivenAnchor::Missing, Some(_)) => true,
            (_, None) => false,
        };
        if older {
            return Taken::Older;
        }
        self.fault = judge(given, log).err();
        let GivenAnchor::Known { anchor, accepted } = given else {
            return if self.fault.is_none() { Taken::Extends(None) } else { Taken::Contradicts };
        };
        self.newest = Some(anchor.clone());
        if self.fault.is_some() {
            return Taken::Contradicts;
        }
        self.extended = Some(anchor.clone());
        Taken::Extends(accepted.clone())
    }
}

/// Idempotency key of the event that records an accepted rollback.
pub fn rollback_key(number: u64) -> String {
    format!("rollback-{number}")
}

#[cfg(test)]
mod tests;
