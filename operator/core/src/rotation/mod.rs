//! The rotation of the token that the operator makes for the administration port.
//!
//! A rotation has two acknowledged phases. First the Secret gets a new token beside the old one, and the operator
//! presents both. When the engine has accepted the new one, the old one is removed. Nothing is kept in memory: the
//! Secret says how far a rotation is, so that another operator goes on where one has stopped.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use kube_core::DynamicObject;
use serde_json::Value;

use crate::{
    names::{ISSUED_AT_ANNOTATION, ROTATION_ANNOTATION},
    tls::Unread,
};

/// Entry of the Secret with the token.
pub const TOKEN_ENTRY: &str = "token";
/// Entry of the Secret with the token before, during a rotation.
pub const PREVIOUS_ENTRY: &str = "token.previous";
/// Entry of the ConfigMap with the id of the newest request.
pub const REQUEST_ENTRY: &str = "request";
/// Entry of the ConfigMap with the id of the request that was carried out last.
pub const DONE_ENTRY: &str = "done";
/// Entry of the ConfigMap with the id of the request that was carried out last, if that failed.
pub const FAILED_ENTRY: &str = "failed";
/// Entry of the ConfigMap with the phase.
pub const PHASE_ENTRY: &str = "phase";
/// Shortest time between two rotations. Whoever may write the ConfigMap must not keep the operator busy.
const INTERVAL_MIN: SignedDuration = SignedDuration::from_secs(60);
/// Longest id of a request, bytes: that of a uid, with room.
const REQUEST_BYTES_MAX: usize = 64;

/// How far a rotation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The engine has not accepted the new token yet.
    Distribute,
    /// There is one token.
    #[default]
    Done,
}

impl Phase {
    /// The word in the ConfigMap.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Distribute => "Distribute",
            Self::Done => "Done",
        }
    }
}

/// The Secret with the token, without any value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedToken {
    /// Whether it has a token that can be used.
    pub is_usable: bool,
    /// Whether it has the token before too.
    pub has_previous: bool,
    /// When the token was made.
    pub issued_at: Option<Timestamp>,
    /// The request for which it was made.
    pub request: Option<String>,
}

impl OwnedToken {
    /// Reads the marks of the Secret. Whether it has values was seen by whoever has read it.
    #[must_use]
    pub fn of(secret: &DynamicObject, is_usable: bool, has_previous: bool) -> Self {
        let note = |key: &str| secret.metadata.annotations.as_ref()?.get(key).cloned();
        Self {
            is_usable,
            has_previous,
            issued_at: note(ISSUED_AT_ANNOTATION).and_then(|text| text.parse().ok()),
            request: note(ROTATION_ANNOTATION).and_then(|text| request_id(&text)),
        }
    }
}

/// What one reconcile found about the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationView {
    /// Why an object of the rotation could not be read. Nothing is done then.
    pub unread: Option<Unread>,
    /// The Secret with the token; `None` if there is none.
    pub token: Option<OwnedToken>,
    /// Whether the engine has accepted the newest token.
    pub is_accepted: bool,
}

/// A change of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A first token, or one in the place of a damaged one.
    Issue,
    /// A new token, beside the present one.
    Begin {
        /// The request.
        request: String,
    },
    /// The token before is removed.
    Retire,
}

impl Change {
    /// Why it is made, for logs.
    #[must_use]
    pub fn because(&self) -> &'static str {
        match self {
            Self::Issue => "there is no token that can be used",
            Self::Begin { .. } => "a rotation was asked for",
            Self::Retire => "the engine has accepted the new token",
        }
    }
}

/// The id of the newest request in the ConfigMap. What is no id is ignored: others write it.
#[must_use]
pub fn requested(config_map: &DynamicObject) -> Option<String> {
    request_id(config_map.data.pointer("/data/request").and_then(Value::as_str)?)
}

fn request_id(text: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_id = (1..=REQUEST_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain);
    is_id.then(|| text.to_owned())
}

/// Decides what is done with the Secret; `None` for nothing.
#[must_use]
pub fn decide(view: &RotationView, request: Option<&str>, now: Timestamp) -> Option<Change> {
    if view.unread.is_some() {
        return None;
    }
    let Some(token) = view.token.as_ref().filter(|token| token.is_usable) else {
        return Some(Change::Issue);
    };
    if token.has_previous {
        return view.is_accepted.then_some(Change::Retire);
    }
    let request = request.filter(|request| token.request.as_deref() != Some(*request))?;
    let is_recent = |issued: Timestamp| now.duration_since(issued).abs() < INTERVAL_MIN;
    (!token.issued_at.is_some_and(is_recent)).then(|| Change::Begin { request: request.to_owned() })
}

/// How far the last rotation is.
#[must_use]
pub fn phase(view: &RotationView) -> Phase {
    let has_previous = view.token.as_ref().is_some_and(|token| token.has_previous);
    if has_previous { Phase::Distribute } else { Phase::Done }
}

/// The request that was carried out last.
#[must_use]
pub fn done(view: &RotationView) -> Option<&str> {
    view.token.as_ref().filter(|token| token.is_usable && !token.has_previous)?.request.as_deref()
}
