//! Which payloads are missing, and which events say so.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Found;
use crate::event::MEMORY_FORGOTTEN;
use crate::format::Body;

/// Where a line without its payload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Sequence number of the event.
    pub seq: u64,
    /// Line of its segment, from 1.
    pub line: u64,
    /// Where that line starts, bytes from the start of its segment.
    pub byte: u64,
}

/// Collects missing payloads and the events that name them, over a whole log or over parts of it that are put
/// together. It keeps memory for each of both, and for nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasures {
    /// By id of the erasure event and of the event that was forgotten.
    gaps: BTreeMap<(String, String), Gap>,
    /// Number and targets of the erasure events, by id.
    acts: BTreeMap<String, (u64, BTreeSet<String>)>,
}

#[derive(Deserialize)]
struct Act {
    targets: BTreeSet<String>,
    #[serde(rename = "reason")]
    _reason: Box<RawValue>,
}

impl Erasures {
    /// Takes notice of an event, in any order.
    pub fn see(&mut self, found: &Found<'_>) {
        let envelope = &found.event.envelope;
        match found.event.body {
            Body::Forgotten { by } => {
                let gap = Gap { seq: envelope.seq, line: found.line, byte: found.offset };
                self.gaps.insert((by.to_owned(), envelope.id.to_string()), gap);
            }
            Body::Whole { payload, .. } if envelope.kind == MEMORY_FORGOTTEN => {
                // One of another shape erases nothing: what it was meant for shows as a gap.
                if let Ok(Act { targets, .. }) = serde_json::from_str(payload) {
                    self.acts.insert(envelope.id.to_string(), (envelope.seq, targets));
                }
            }
            Body::Whole { .. } => {}
        }
    }

    /// Adds what was seen in another part of the log.
    pub fn merge(&mut self, other: Erasures) {
        self.gaps.extend(other.gaps);
        self.acts.extend(other.acts);
    }

    /// How many payloads are missing, rightly or not.
    pub fn forgotten(&self) -> usize {
        self.gaps.len()
    }

    /// The lines without payload that no later event of the log accounts for: damage. Asked once the whole log was
    /// seen.
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
