//! `memory_proof`.

use engine_core::wire::InclusionAnswer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool, within};
use crate::operations::{Operations, SEQ_MAX};

pub(super) const TOOL: Tool = Tool {
    name: "memory_proof",
    title: "Prove a memory",
    description: "Gives a receipt for one event of the log: the hashed part of it, an inclusion proof as in RFC 9162 and a signed \
        checkpoint. Whoever holds the verifier key can check without trusting this engine that the event is in the log, \
        unchanged. Use it when somebody asks for evidence; the sequence number is the first part of a citation SEQ:HASH.",
    effect: Effect::Reads,
    input: schema::input::<ProofArguments>,
    output: Output::Structured(schema::output::<Receipt>),
    call,
};

/// Which event.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProofArguments {
    /// Sequence number of the event: `seq` of a memory, the first part of a citation.
    #[schemars(range(min = 1, max = SEQ_MAX))]
    seq: u64,
}

/// Answer of `memory_proof`.
#[derive(Debug, Serialize, JsonSchema)]
struct Receipt {
    /// Sequence number of the event.
    seq: u64,
    /// The hashed part of the event as text, byte for byte as it is stored.
    envelope: String,
    /// SHA-256 of the envelope, 64 hex digits: the data of the leaf.
    hash: String,
    /// Number of the leaf, from 0.
    index: u64,
    /// Leaves of the tree.
    size: u64,
    /// Inclusion proof as in RFC 9162, hashes of 64 hex digits.
    proof: Vec<String>,
    /// Signed note with the size and the root of the tree.
    checkpoint: String,
    /// Verifier key as the engine says it is. Compare it with what was recorded elsewhere.
    key: String,
}

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let ProofArguments { seq } = arguments.read()?;
        let seq = within("seq", Some(seq), (1, SEQ_MAX))?.unwrap_or(seq);
        let key = operations.checkpoint()?.key;
        let InclusionAnswer { seq, envelope, hash, index, size, proof, checkpoint } =
            operations.proof(seq).await?;
        let envelope = envelope.get().to_owned();
        let receipt = Receipt { seq, envelope, hash, index, size, proof, checkpoint, key };
        let text = format!(
            "Event {seq} is leaf {index} of {size}.\nhash: {}\nproof: {}\n{}",
            receipt.hash,
            receipt.proof.join(" "),
            receipt.checkpoint
        );
        Answer::new(&receipt, text)
    })
}
