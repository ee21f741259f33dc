//! The tool `memory_proof`: a receipt that proves that an event is in the log.

use engine_core::wire::InclusionAnswer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool, within};
use crate::operations::{Operations, SEQ_MAX};

pub(super) const TOOL: Tool = Tool {
    name: "memory_proof",
    title: "Prove a memory",
    description: "Returns a receipt for one event of the log: its hashed part, an inclusion proof as in RFC 9162 and a \
        signed checkpoint. With the verifier key, anyone can check that the event is in the log and unchanged, without \
        trusting this engine. Use it when somebody asks for evidence. The sequence number is the first part of a \
        citation SEQ:HASH.",
    effect: Effect::Reads,
    input: schema::input::<ProofArguments>,
    output: Output::Structured(schema::output::<Receipt>),
    call,
};

/// Arguments of `memory_proof`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProofArguments {
    /// Sequence number of the event: `seq` of a memory, or the first part of a citation.
    #[schemars(range(min = 1, max = SEQ_MAX))]
    seq: u64,
}

/// Answer of `memory_proof`.
#[derive(Debug, Serialize, JsonSchema)]
struct Receipt {
    /// Sequence number of the event.
    seq: u64,
    /// The hashed part of the event as text, byte for byte as stored.
    envelope: String,
    /// SHA-256 of the envelope, 64 hex digits. It is the data of the leaf.
    hash: String,
    /// Index of the leaf, from 0.
    index: u64,
    /// Number of leaves of the tree.
    size: u64,
    /// Inclusion proof as in RFC 9162: hashes of 64 hex digits each.
    proof: Vec<String>,
    /// Signed note with the size and the root of the tree.
    checkpoint: String,
    /// Verifier key as reported by the engine. Compare it with a copy that was recorded elsewhere.
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
