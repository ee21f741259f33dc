//! Matches missing payloads with the erasure events that record their removal.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Found;
use crate::event::MEMORY_FORGOTTEN;
use crate::format::Body;

/// Position of a line without payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Sequence number of the event.
    pub seq: u64,
    /// Line number in its segment, counted from 1.
    pub line: u64,
    /// Offset of the line, bytes from the start of its segment.
    pub byte: u64,
}

/// Collects missing payloads and the erasure events that name them, over a complete log or over parts that are merged
/// later. Memory use is proportional to the number of missing payloads and erasure events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasures {
    /// Keyed by the ids of the erasure event and of the forgotten event.
    gaps: BTreeMap<(String, String), Gap>,
    /// Sequence number and targets of the erasure events, by id.
    acts: BTreeMap<String, (u64, BTreeSet<String>)>,
}

#[derive(Deserialize)]
struct Act {
    targets: BTreeSet<String>,
    #[serde(rename = "reason")]
    _reason: Box<RawValue>,
}

impl Erasures {
    /// Records an event if its payload is missing or it is an erasure event. The order of events does not matter.
    pub fn see(&mut self, found: &Found<'_>) {
        let envelope = &found.event.envelope;
        match found.event.body {
            Body::Forgotten { by } => {
                let gap = Gap { seq: envelope.seq, line: found.line, byte: found.offset };
                self.gaps.insert((by.to_owned(), envelope.id.to_string()), gap);
            }
            Body::Whole { payload, .. } if envelope.kind == MEMORY_FORGOTTEN => {
                // An erasure event whose payload has another shape accounts for no missing payload, so the missing
                // payloads are reported.
                if let Ok(Act { targets, .. }) = serde_json::from_str(payload) {
                    self.acts.insert(envelope.id.to_string(), (envelope.seq, targets));
                }
            }
            Body::Whole { .. } => {}
        }
    }

    /// Adds the events recorded for another part of the log.
    pub fn merge(&mut self, other: Erasures) {
        self.gaps.extend(other.gaps);
        self.acts.extend(other.acts);
    }

    /// Number of missing payloads, whether or not an erasure event names them.
    pub fn forgotten(&self) -> usize {
        self.gaps.len()
    }

    /// Lines with a missing payload that no later erasure event names. This is damage. Call it after the complete log
    /// was recorded.
    pub fn unaccounted(&self) -> Vec<Gap> {
        let accounted = |(by, id): &(String, String), gap: &Gap| {
            self.acts.get(by).is_some_and(|(seq, targets)| *seq > gap.seq && targets.contains(id))
        };
        let mut gaps: Vec<Gap> =
            self.gaps.iter().filter(|(key, gap)| !accounted(key, gap)).map(|(_, gap)| *gap).collect();
        gaps.sort_unstable();
        gaps
    }
}
