//! Judges a log against what was recorded of it outside of its volume.
//!
//! A log that verifies in itself may still not be the log that was: a dropped tail, an older copy of the volume, or a
//! history written anew all verify. An anchor, kept where the writer of the log cannot reach it, tells. What it cannot
//! tell apart is a tail dropped by hand from an older copy of the volume: both are [`IntegrityFaultKind::Truncated`].

use thiserror::Error;

use crate::digest::Hash;
use crate::wire::{AcceptedRollback, Anchor, GivenAnchor, IntegrityFault, IntegrityFaultKind};

/// What is known of the log that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFacts {
    /// As made by [`crate::checkpoint::origin`].
    pub origin: String,
    /// Events that verify.
    pub size: u64,
    /// Root of the tree of the first [`needed_root`] events; None when the log has fewer.
    pub root_at_anchor: Option<Hash>,
    /// Size of the largest checkpoint that is signed with the log's own key and that the log matches; 0 without one.
    pub signed_size: u64,
}

/// At which size [`LogFacts`] have to give the root for judging this.
pub fn needed_root(given: &GivenAnchor) -> Option<u64> {
    match given {
        GivenAnchor::Known { anchor, .. } => Some(anchor.size),
        GivenAnchor::New | GivenAnchor::Missing => None,
    }
}

/// Why what was given is not an anchor: a mistake of whoever gave it, which says nothing about the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the {0} of the anchor does not have its form")]
pub struct AnchorForm(pub &'static str);

/// Checks the form of what was given. Nothing else is to be asked of what does not pass.
///
/// # Errors
///
/// Which field is wrong.
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

/// Whether the log is what was recorded, or goes on from it.
///
/// # Errors
///
/// In what way it is not, and what to do.
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
         copy; attach the volume or restore the backup that has event {anchored}, or accept in writing that the events \
         after {size} are lost"
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
        "the first {size} events are not those that were anchored, and this log's own key signed both: the log went on from \
         an older copy of its volume, or two copies were written to; keep both volumes, attach the one whose root at {size} \
         is {}, or accept in writing what this one holds",
        anchor.root
    );
    fault(IntegrityFaultKind::Forked, 0, message)
}

fn rewritten(anchor: &Anchor) -> IntegrityFault {
    let size = anchor.size;
    let message = format!(
        "the first {size} events are not those that were anchored, and nothing signed by this log's key vouches for them: \
         somebody wrote the log anew; keep the volume as evidence and restore the backup whose root at {size} is {}",
        anchor.root
    );
    fault(IntegrityFaultKind::Rewritten, 0, message)
}

fn anchor_missing(log: &LogFacts) -> IntegrityFault {
    let message = format!(
        "the log has {} events, and what it held before is recorded nowhere: compare its head with a backup or a receipt, \
         then accept it in writing",
        log.size
    );
    fault(IntegrityFaultKind::AnchorMissing, 0, message)
}

/// Whether the first anchor is older than the second: fewer accepted rollbacks, then a smaller size.
pub fn is_older(anchor: &Anchor, than: &Anchor) -> bool {
    (anchor.rollbacks, anchor.size) < (than.rollbacks, than.size)
}

/// What an engine holds of the anchors it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    newest: Option<Anchor>,
    extended: Option<Anchor>,
    fault: Option<IntegrityFault>,
}

/// What became of an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A newer one is held: nothing changes.
    Older,
    /// The log extends it. An accepted rollback is to be recorded as an event, once, under the idempotency key
    /// [`rollback_key`].
    Extends(Option<AcceptedRollback>),
    /// The log contradicts it: nothing may be written.
    Contradicts,
}

impl Held {
    /// The newest anchor that the log was found to extend.
    pub fn anchor(&self) -> Option<&Anchor> {
        self.extended.as_ref()
    }

    /// What the newest anchor says against the log.
    pub fn fault(&self) -> Option<&IntegrityFault> {
        self.fault.as_ref()
    }

    /// Judges the log by what was given, unless something newer was given before. Later answers may take back a fault,
    /// for an anchor with more accepted rollbacks is newer than the one that was contradicted.
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
