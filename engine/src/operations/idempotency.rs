//! Idempotency keys on their way from a request to the log.

use serde::Serialize;

use crate::refusal::{Refusal, internal};

/// An idempotency key as a client sent it, bound to its request. It is no [`Key`] before it went through
/// [`Operations::stored_key`].
#[derive(Debug)]
pub(crate) struct SentKey {
    pub(super) key: String,
    pub(super) request: Vec<u8>,
}

impl SentKey {
    fn new(key: String, request: Vec<u8>) -> SentKey {
        SentKey { key, request }
    }
}

/// Ties an idempotency key to a request. `path` is the one under `/v1` whatever protocol the request came by, so that
/// one key is one write. The request is taken as it was understood, written in one way: spaces and the order of fields
/// make no other request.
pub(crate) fn bind<T: Serialize>(key: String, path: &str, request: &T) -> Result<SentKey, Refusal> {
    let mut bound = [path.as_bytes(), b"\n"].concat();
    serde_json::to_writer(&mut bound, request).map_err(|fault| internal(&fault))?;
    Ok(SentKey::new(key, bound))
}
