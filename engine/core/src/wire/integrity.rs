//! What is known about a log's integrity: signed checkpoints, anchors recorded outside of the volume, and the faults
//! that comparing them with the log reveals.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The newest signed checkpoint of a log: a C2SP checkpoint in a C2SP signed note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointView {
    /// First line of the checkpoint; identifies the log.
    pub origin: String,
    /// Number of events it covers; also the sequence number of the last event.
    pub size: u64,
    /// Root of the Merkle tree over those events, 64 hex digits.
    pub root: String,
    /// Verifier key in the C2SP signed note format, `NAME+ID+KEY`.
    pub key: String,
    /// The signed note.
    pub note: String,
}

/// A state of the log that was recorded outside of its volume. The log must be an extension of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Identifies the log.
    pub origin: String,
    /// Number of events it covers.
    pub size: u64,
    /// Root of the Merkle tree over those events, 64 hex digits.
    pub root: String,
    /// Number of rollbacks accepted before the anchor was recorded. Of two anchors, the one with more rollbacks is
    /// newer; with equal rollbacks, the one with the larger size.
    #[serde(default)]
    pub rollbacks: u64,
}

/// The anchor that the operator passes to an engine, as a file at startup and through `POST /anchor` at runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum GivenAnchor {
    /// The volume is new: there is no earlier state to compare the log with.
    New,
    /// The log must extend this anchor.
    Known {
        /// The recorded state.
        anchor: Anchor,
        /// Present after an administrator accepted that the log is shorter than recorded: the engine records the
        /// decision as an event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accepted: Option<AcceptedRollback>,
    },
    /// The volume was kept but its earlier state is not known: the engine does not write to a log that contains events.
    Missing,
}

/// An administrator's decision to continue with a log that is shorter than recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedRollback {
    /// Number of this decision for this engine, counted from 1.
    pub number: u64,
    /// Size of the anchor that the log no longer has to extend, in events.
    pub from_size: u64,
    /// Root of that anchor, 64 hex digits.
    pub from_root: String,
    /// Size of the accepted log, events.
    pub to_size: u64,
    /// Root of the accepted log, 64 hex digits.
    pub to_root: String,
    /// Reason given by the administrator.
    pub reason: String,
}

/// Result of verifying the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrityHealth {
    /// Sequence number up to which this process has read back and verified every event.
    pub verified_through: u64,
    /// When the last complete verification ended. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// The newest anchor given to this engine that its log extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// Why the log failed verification. Writes are refused; events that verify can still be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<IntegrityFault>,
}

/// A failed verification of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrityFault {
    /// Kind of the fault.
    pub kind: IntegrityFaultKind,
    /// Human-readable description, and what to do.
    pub message: String,
    /// Sequence number of the first event that is missing or wrong; 0 if not known.
    pub seq: u64,
    /// File name of the segment with the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// Line in the segment, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Offset of that line in the segment, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
}

/// Kind of a log integrity fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrityFaultKind {
    /// The log ends before the anchor: its tail was dropped, or the volume is an older copy.
    Truncated,
    /// The log continues differently from an older state: this engine's key signed two histories.
    Forked,
    /// It is the log of another engine.
    ForeignLog,
    /// The log is consistent in itself, but neither matches the anchor nor is signed by this engine's key.
    Rewritten,
    /// The log is not consistent in itself.
    Corrupt,
    /// The log contains events, but no anchor was recorded for it.
    AnchorMissing,
}

/// Response to `GET /checkpoint` on the admin port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointAnswer {
    /// The newest checkpoint.
    pub checkpoint: CheckpointView,
    /// Proof that the checkpoint extends the tree of the size given in `?extends=SIZE`: hashes of 64 hex digits, as in
    /// RFC 9162.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Vec<String>>,
}
