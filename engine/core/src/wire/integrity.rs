//! What ties a log to what was known about it elsewhere: checkpoints, anchors, and the faults they reveal (L6).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The newest signed statement of an engine about its log, a C2SP checkpoint in a C2SP signed note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointView {
    /// First line of the checkpoint: which log it speaks of.
    pub origin: String,
    /// Events it covers; also the sequence number of the last of them.
    pub size: u64,
    /// Root of the Merkle tree over those events, 64 hex digits.
    pub root: String,
    /// Verifier key in the form of C2SP signed notes, `NAME+ID+KEY`.
    pub key: String,
    /// The signed note itself.
    pub note: String,
}

/// A point of the log's history that was recorded outside of its volume. The log must extend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Which log.
    pub origin: String,
    /// Events it covers.
    pub size: u64,
    /// Root of the Merkle tree over those events, 64 hex digits.
    pub root: String,
    /// How many rollbacks had been accepted when it was recorded. Of two anchors the one with more of them is newer, then the
    /// one with the larger size.
    #[serde(default)]
    pub rollbacks: u64,
}

/// What the operator gives an engine, as a file at its start and through `POST /anchor` while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum GivenAnchor {
    /// The volume is new: there is nothing the log could contradict.
    New,
    /// The log must extend this.
    Known {
        /// What was recorded.
        anchor: Anchor,
        /// Present after somebody accepted that the log is shorter than it was: the engine records it as an event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accepted: Option<AcceptedRollback>,
    },
    /// The volume was kept and nobody knows what it held: a log with events in it is not written to.
    Missing,
}

/// Somebody's decision to go on with less history than there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedRollback {
    /// Number of this decision for this engine, from 1.
    pub number: u64,
    /// Size of the anchor that was given up.
    pub from_size: u64,
    /// Root of the anchor that was given up, 64 hex digits.
    pub from_root: String,
    /// Size of the log as it was accepted.
    pub to_size: u64,
    /// Root of the log as it was accepted, 64 hex digits.
    pub to_root: String,
    /// Why, in the words of whoever decided.
    pub reason: String,
}

/// What is known about the log beyond its last event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrityHealth {
    /// Every event up to this one has been read back and verified by this process.
    pub verified_through: u64,
    /// When the last complete verification ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// The newest anchor this engine was given and found its log to extend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// Why nothing is written; reads of what verifies go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<IntegrityFault>,
}

/// A log that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrityFault {
    /// In what way.
    pub kind: IntegrityFaultKind,
    /// The same for a person, with what to do.
    pub message: String,
    /// First event that is missing or wrong, as far as it is known; else 0.
    pub seq: u64,
    /// File name of the segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// Line in the segment, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where that line starts in the segment, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
}

/// In what way a log is not what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrityFaultKind {
    /// It ends before the anchor: its tail was dropped, or the volume is an older copy.
    Truncated,
    /// It goes on from an older state in another way: this engine's key signed two histories.
    Forked,
    /// It is the log of another engine.
    ForeignLog,
    /// It is whole in itself, and not what was anchored, nor signed by this engine's key.
    Rewritten,
    /// It does not verify in itself.
    Corrupt,
    /// It has events, and what it held before is recorded nowhere.
    AnchorMissing,
}

/// Answer to `GET /checkpoint` on the admin port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointAnswer {
    /// The newest checkpoint.
    pub checkpoint: CheckpointView,
    /// Proof that it extends the tree of the size asked for with `?extends=SIZE`: hashes of 64 hex digits, as in RFC 9162.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Vec<String>>,
}
