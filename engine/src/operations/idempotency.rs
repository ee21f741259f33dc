//! Binds idempotency keys to requests.

use serde::Serialize;

use crate::refusal::{Refusal, internal};

/// An idempotency key as the client sent it, with the request it belongs to.
/// [`stored_key`](super::Operations::stored_key) converts it to a [`Key`](engine_log::Key) of the log.
#[derive(Debug)]
pub(crate) struct SentKey {
    /// The key as sent, before its conversion to the stored form.
    pub(super) key: String,
    /// The path and the canonical form of the request.
    pub(super) request: Vec<u8>,
}

impl SentKey {
    /// Binds the key to a project too, which the body does not name.
    pub(crate) fn in_project(mut self, project: Option<&str>) -> SentKey {
        self.request.push(b'\n');
        self.request.extend_from_slice(project.unwrap_or_default().as_bytes());
        self
    }

    fn new(key: String, request: Vec<u8>) -> SentKey {
        SentKey { key, request }
    }
}

/// Binds an idempotency key to a request. All protocols pass the `path` that the operation has under `/v1`, so a key
/// stands for one write, whichever protocol is used. The parsed request is serialised in one canonical form, so white
/// space and the order of fields make no difference.
///
/// # Errors
/// The request cannot be serialised.
pub(crate) fn bind<T: Serialize>(key: String, path: &str, request: &T) -> Result<SentKey, Refusal> {
    let mut bound = [path.as_bytes(), b"\n"].concat();
    serde_json::to_writer(&mut bound, request).map_err(|fault| internal(&fault))?;
    Ok(SentKey::new(key, bound))
}
