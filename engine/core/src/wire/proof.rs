//! Proofs about the log, for clients that verify it without trusting the engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Answer to `GET /v1/log/proof/{seq}`: a receipt. Together with the verifier key it proves that the event is part of
/// the log that the checkpoint covers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct InclusionAnswer {
    /// Sequence number of the event.
    pub seq: u64,
    /// The hashed part of the event, byte for byte as it is stored.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub envelope: Box<RawValue>,
    /// SHA-256 of the envelope's bytes, 64 hex digits: the data of the leaf.
    pub hash: String,
    /// Index of the leaf, counted from 0.
    pub index: u64,
    /// Size of the tree: its number of leaves.
    pub size: u64,
    /// Inclusion proof as in RFC 9162, hashes of 64 hex digits.
    pub proof: Vec<String>,
    /// The checkpoint: a signed note with the size and the root of the tree.
    pub checkpoint: String,
}

/// Answer to `GET /v1/log/consistency`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsistencyAnswer {
    /// Size of the older tree.
    pub from: u64,
    /// Root of the older tree, 64 hex digits.
    pub from_root: String,
    /// Size of the newer tree.
    pub to: u64,
    /// Root of the newer tree, 64 hex digits.
    pub to_root: String,
    /// Consistency proof as in RFC 9162, hashes of 64 hex digits.
    pub proof: Vec<String>,
}
