//! The tokens that the administration ports of engines demand. They are in memory only.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// The tokens of one engine.
#[derive(Clone, Debug)]
pub(crate) struct AdminToken {
    newest: Arc<SecretString>,
    /// The one before: an engine demands it until the kubelet has delivered a changed Secret.
    before: Option<Arc<SecretString>>,
}

impl AdminToken {
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
}

/// The tokens of all engines.
#[derive(Default)]
pub(crate) struct AdminTokens(Mutex<HashMap<String, AdminToken>>);

impl AdminTokens {
    /// Keeps the token that was just read.
    pub(crate) fn keep(&self, engine: &str, token: &str) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tokens.get(engine);
        if known.is_some_and(|known| known.newest.expose_secret() == token) {
            return;
        }
        let before = known.map(|known| Arc::clone(&known.newest));
        tokens.insert(engine.to_owned(), AdminToken { newest: Arc::new(token.to_owned().into()), before });
    }

    /// The tokens of an engine that the last readings of its Secret have given.
    pub(crate) fn known(&self, engine: &str) -> Option<AdminToken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(engine).cloned()
    }

    /// Removes the tokens of an engine that no longer exists.
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
            tokens.keep("team/notes", token);
        }
        let known = tokens.known("team/notes").unwrap();
        assert_eq!(known.headers(), ["Bearer second", "Bearer first"]);
        let shown = format!("{known:?} {:?}", known.headers());
        assert!(!shown.contains("first") && !shown.contains("second"), "{shown}");
        tokens.forget("team/notes");
        assert!(tokens.known("team/notes").is_none());
    }
}
