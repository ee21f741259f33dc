//! The promises made to clients, and a check that the log keeps them. The ledger is in the memory of the campaign's
//! process, which no cut affects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Identifies one request of one client.
pub(super) type Request = (u32, u64);

/// The engine's acknowledgement that a request is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Promise {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    /// Hash of the last event.
    pub(super) hash: String,
    /// Whether the acknowledgement was given before the cut began. Otherwise its sync may have run while the power
    /// failed.
    pub(super) certain: bool,
}

/// One event, as the engine returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) seq: u64,
    pub(super) hash: String,
    /// Request, position of the event in its batch (from 0), size of the batch; `None` for events that the engine wrote
    /// on its own.
    pub(super) origin: Option<(Request, u64, u64)>,
}

impl Found {
    /// Reads one event of `GET /v1/events`.
    pub(super) fn read(event: &Value) -> Result<Found> {
        let seq = event["seq"].as_u64().context("an event without a number")?;
        let hash = event["hash"].as_str().context("an event without a hash")?.to_owned();
        let payload = &event["payload"];
        let part = |name: &str| payload[name].as_u64();
        let origin = || {
            let client = u32::try_from(part("client")?).ok()?;
            Some(((client, part("request")?), part("place")?, part("of")?))
        };
        Ok(Found { seq, hash, origin: origin() })
    }
}

/// One way in which a log breaks a promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Broken {
    /// An acknowledged request is missing.
    Lost(Request),
    /// An event that the engine returned before is missing or different.
    Changed(u64),
    /// The same event of a request appears twice.
    Doubled(Request),
    /// A batch is only partly present.
    Half(Request),
    /// Sequence numbers are missing.
    Gap(u64),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Lost((client, n)) => write!(f, "lost: request {client}/{n} was acknowledged"),
            Broken::Changed(seq) => {
                write!(f, "changed: event {seq} was served and is now different or missing")
            }
            Broken::Doubled((client, n)) => write!(f, "doubled: request {client}/{n}"),
            Broken::Half((client, n)) => write!(f, "half a batch: request {client}/{n}"),
            Broken::Gap(seq) => write!(f, "gap: event {seq} is out of place"),
        }
    }
}

/// Promises, and the events found for them.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Promises that no check has confirmed yet.
    open: BTreeMap<Request, Promise>,
    /// Requests found complete in the log, up to the last check.
    whole: BTreeSet<Request>,
    /// Last event of the last check. Through the hash chain, its hash covers everything before it.
    head: Option<(u64, String)>,
    pub(super) acknowledged: u64,
    /// Requests that are durable although their response never arrived.
    pub(super) unanswered: u64,
    /// Promises that were given after the cut began (not `certain`) and were not kept.
    pub(super) vanished: u64,
}

impl Ledger {
    pub(super) fn promised(&mut self, request: Request, promise: Promise) {
        self.acknowledged += u64::from(promise.certain);
        // The response to a repeated request names the events of the first attempt; a check may have found them
        // already.
        if !self.whole.contains(&request) {
            self.open.insert(request, promise);
        }
    }

    /// Returns the sequence number after which the next check reads: one before the head of the last check. The check
    /// thus reads the head again, whose hash covers all earlier events.
    pub(super) fn after(&self) -> u64 {
        self.head.as_ref().map_or(0, |(seq, _)| seq - 1)
    }

    /// Compares the events after [`Ledger::after`] with the promises.
    pub(super) fn look(&mut self, found: &[Found]) -> Vec<Broken> {
        let mut broken = Vec::new();
        let fresh = self.continued(found, &mut broken);
        let mut batches: BTreeMap<Request, Vec<&Found>> = BTreeMap::new();
        for (event, seq) in fresh.iter().zip(self.head.as_ref().map_or(0, |(seq, _)| *seq) + 1..) {
            if event.seq != seq {
                broken.push(Broken::Gap(seq));
                break;
            }
            if let Some((request, ..)) = event.origin {
                batches.entry(request).or_default().push(event);
            }
        }
        for (request, events) in &batches {
            broken.extend(self.judge(*request, events));
        }
        for (request, promise) in std::mem::take(&mut self.open) {
            if promise.certain {
                broken.push(Broken::Lost(request));
            } else {
                self.vanished += 1;
            }
        }
        if let Some(last) = found.last() {
            self.head = Some((last.seq, last.hash.clone()));
        }
        broken
    }

    /// Returns the events of `found` after the head of the last check. If that head is missing or changed, adds this to
    /// `broken` and returns no events.
    fn continued<'a>(&self, found: &'a [Found], broken: &mut Vec<Broken>) -> &'a [Found] {
        match (&self.head, found.split_first()) {
            (None, _) => found,
            (Some((seq, hash)), Some((first, rest))) if first.seq == *seq && first.hash == *hash => rest,
            (Some((seq, _)), _) => {
                broken.push(Broken::Changed(*seq));
                &[]
            }
        }
    }

    fn judge(&mut self, request: Request, events: &[&Found]) -> Option<Broken> {
        let places: Vec<u64> = events.iter().filter_map(|event| Some(event.origin.as_ref()?.1)).collect();
        let (first, last) = (events.first()?, events.last()?);
        let count = last.origin.as_ref()?.2;
        if places.iter().collect::<BTreeSet<_>>().len() < places.len() || self.whole.contains(&request) {
            return Some(Broken::Doubled(request));
        }
        let together = last.seq - first.seq + 1 == count;
        if !together || !places.iter().copied().eq(0..count) {
            return Some(Broken::Half(request));
        }
        self.whole.insert(request);
        match self.open.remove(&request) {
            Some(promise) if (promise.first_seq, promise.last_seq) != (first.seq, last.seq) => {
                Some(Broken::Changed(promise.first_seq))
            }
            Some(promise) if promise.hash != last.hash => Some(Broken::Changed(last.seq)),
            Some(_) => None,
            None => {
                self.unanswered += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, request: Request, place: u64, of: u64) -> Found {
        Found { seq, hash: format!("h{seq}"), origin: Some((request, place, of)) }
    }

    fn promise(first_seq: u64, last_seq: u64) -> Promise {
        Promise { first_seq, last_seq, hash: format!("h{last_seq}"), certain: true }
    }

    /// A ledger with two requests, the second a batch of two, after one check of the complete log.
    fn looked() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.promised((1, 0), promise(1, 1));
        ledger.promised((2, 0), promise(2, 3));
        let log = [event(1, (1, 0), 0, 1), event(2, (2, 0), 0, 2), event(3, (2, 0), 1, 2)];
        assert_eq!(ledger.look(&log), []);
        assert_eq!(ledger.after(), 2);
        ledger
    }

    #[test]
    fn a_log_that_keeps_its_promises_is_accepted() {
        let mut ledger = looked();
        ledger.promised((1, 1), promise(4, 4));
        // A request that is durable, got no response and is repeated under its key; and an event that the engine wrote
        // itself.
        let own = Found { seq: 6, hash: "h6".into(), origin: None };
        let log = [event(3, (2, 0), 1, 2), event(4, (1, 1), 0, 1), event(5, (2, 1), 0, 1), own];
        assert_eq!(ledger.look(&log), []);
        ledger.promised((2, 1), promise(5, 5));
        assert_eq!(ledger.look(&[Found { seq: 6, hash: "h6".into(), origin: None }]), []);
        assert_eq!((ledger.acknowledged, ledger.unanswered), (4, 1));
    }

    #[test]
    fn what_was_acknowledged_and_is_gone_is_lost() {
        let mut ledger = looked();
        ledger.promised((1, 1), promise(4, 4));
        assert_eq!(ledger.look(&[event(3, (2, 0), 1, 2)]), [Broken::Lost((1, 1))]);
    }

    #[test]
    fn a_promise_from_the_moment_of_the_cut_may_vanish_but_not_change() {
        let mut ledger = looked();
        ledger.promised((1, 1), Promise { certain: false, ..promise(4, 4) });
        assert_eq!(ledger.look(&[event(3, (2, 0), 1, 2)]), []);
        assert_eq!((ledger.acknowledged, ledger.vanished), (2, 1));
        ledger.promised((1, 2), Promise { certain: false, hash: "x".into(), ..promise(4, 4) });
        assert_eq!(ledger.look(&[event(3, (2, 0), 1, 2), event(4, (1, 2), 0, 1)]), [Broken::Changed(4)]);
    }

    #[test]
    fn a_history_that_was_served_must_stay() {
        assert_eq!(looked().look(&[]), [Broken::Changed(3)]);
        let other = Found { hash: "x".into(), ..event(3, (2, 0), 1, 2) };
        assert_eq!(looked().look(&[other]), [Broken::Changed(3)]);
        let mut ledger = looked();
        ledger.promised((1, 1), Promise { hash: "x".into(), ..promise(4, 4) });
        assert_eq!(ledger.look(&[event(3, (2, 0), 1, 2), event(4, (1, 1), 0, 1)]), [Broken::Changed(4)]);
    }

    #[test]
    fn doubles_halves_and_gaps_are_seen() {
        let head = event(3, (2, 0), 1, 2);
        let check = |more: &[Found], expected: Broken| {
            assert_eq!(looked().look(&[std::slice::from_ref(&head), more].concat()), [expected]);
        };
        check(&[event(4, (1, 0), 0, 1)], Broken::Doubled((1, 0)));
        check(&[event(4, (7, 0), 0, 1), event(5, (7, 0), 0, 1)], Broken::Doubled((7, 0)));
        check(&[event(4, (7, 0), 0, 2)], Broken::Half((7, 0)));
        let between = [event(4, (7, 0), 0, 2), event(5, (8, 0), 0, 1), event(6, (7, 0), 1, 2)];
        check(&between, Broken::Half((7, 0)));
        check(&[event(5, (7, 0), 0, 1)], Broken::Gap(4));
    }
}
