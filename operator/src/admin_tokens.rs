//! The tokens that the administration ports of engines demand. They are in memory only.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// The tokens of one engine.
#[derive(Clone, Debug)]
pub(crate) struct AdminToken {
    newest: Arc<SecretString>,
    /// The one before: an engine demands it until the kubelet has delivered a changed Secret.
    before: Option<Arc<SecretString>>,
    /// Whether the engine has accepted the newest.
    is_accepted: Arc<AtomicBool>,
    /// The resource: another one of this name has other tokens.
    uid: String,
    /// Whether the spec wants TLS: then no pod without TLS gets the tokens.
    needs_tls: bool,
}

impl AdminToken {
    /// The newest token.
    pub(crate) fn newest(&self) -> &SecretString {
        &self.newest
    }

    /// The headers with the tokens, the newest first. They are marked sensitive, so that debug output omits them.
    pub(crate) fn headers(&self) -> Vec<HeaderValue> {
        let tokens = [Some(&self.newest), self.before.as_ref()].into_iter().flatten();
        let header = |token: &Arc<SecretString>| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        tokens.filter_map(header).collect()
    }

    /// Whether a pod may get the tokens. While TLS is introduced, the pod before has none.
    pub(crate) fn may_be_sent(&self, has_tls: bool) -> bool {
        has_tls || !self.needs_tls
    }

    /// Notes whether the engine has accepted the newest token.
    pub(crate) fn note(&self, is_accepted: bool) {
        self.is_accepted.store(is_accepted, Ordering::Relaxed);
    }
}

/// The tokens of all engines.
#[derive(Default)]
pub(crate) struct AdminTokens(Mutex<HashMap<String, AdminToken>>);

impl AdminTokens {
    /// Keeps the token that was just read, and the one before if its Secret has that too.
    pub(crate) fn keep(
        &self,
        engine: &str,
        (uid, needs_tls): (&str, bool),
        token: &str,
        previous: Option<&str>,
    ) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tokens.get(engine).filter(|known| known.uid == uid);
        let is_same = known.is_some_and(|known| known.newest.expose_secret() == token);
        let previous = previous.map(|text| Arc::new(text.to_owned().into()));
        let before = match known {
            Some(known) if is_same => previous.or_else(|| known.before.clone()),
            known => previous.or_else(|| known.map(|known| Arc::clone(&known.newest))),
        };
        let is_accepted = match known {
            Some(known) if is_same => Arc::clone(&known.is_accepted),
            _ => Arc::default(),
        };
        let newest = Arc::new(token.to_owned().into());
        let uid = uid.to_owned();
        tokens.insert(engine.to_owned(), AdminToken { newest, before, is_accepted, uid, needs_tls });
    }

    /// The tokens of an engine that the last readings of its Secret have given.
    pub(crate) fn known(&self, engine: &str) -> Option<AdminToken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(engine).cloned()
    }

    /// Whether the engine has accepted the newest token.
    pub(crate) fn is_accepted(&self, engine: &str) -> bool {
        self.known(engine).is_some_and(|known| known.is_accepted.load(Ordering::Relaxed))
    }

    /// Removes the tokens of an engine that no longer exists or demands none.
    pub(crate) fn forget(&self, engine: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_token_keeps_the_one_before_and_none_is_shown() {
        let tokens = AdminTokens::default();
        for token in ["first", "first", "second"] {
            tokens.keep("team/notes", ("uid-1", false), token, None);
        }
        let known = tokens.known("team/notes").unwrap();
        assert_eq!(known.headers(), ["Bearer second", "Bearer first"]);
        let shown = format!("{known:?} {:?}", known.headers());
        assert!(!shown.contains("first") && !shown.contains("second"), "{shown}");
        tokens.forget("team/notes");
        assert!(tokens.known("team/notes").is_none());
    }

    #[test]
    fn another_operator_and_another_resource_begin_with_what_the_secret_has() {
        let tokens = AdminTokens::default();
        tokens.keep("team/notes", ("uid-1", true), "second", Some("first"));
        assert_eq!(tokens.known("team/notes").unwrap().headers(), ["Bearer second", "Bearer first"]);
        tokens.known("team/notes").unwrap().note(true);
        tokens.keep("team/notes", ("uid-1", true), "second", None);
        assert!(tokens.is_accepted("team/notes"), "the same token");
        tokens.keep("team/notes", ("uid-1", true), "third", Some("second"));
        assert!(!tokens.is_accepted("team/notes"), "another token");
        let known = tokens.known("team/notes").unwrap();
        assert!(known.may_be_sent(true) && !known.may_be_sent(false), "the spec wants TLS");
        tokens.keep("team/notes", ("uid-2", true), "fourth", None);
        assert_eq!(tokens.known("team/notes").unwrap().headers(), ["Bearer fourth"], "another resource");
    }
}
