//! Converts identifiers in requests to their stored form, in which personal data is replaced. Every operation does this
//! first, before it reads, takes a lock or writes. The response contains the names as the client sent them.

use engine_core::digest::Hash;
use engine_core::identity::{CallerNames, HasIdentifiers, Visit, to_stored_names};
use engine_core::policy::{Counts, Form};
use jiff::Timestamp;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::handle::{Operations, Written};
use super::idempotency::SentKey;
use crate::policy_gate::WriteError;
use crate::refusal::Refusal;
use engine_log::Key;

/// If the identifiers have more bytes than this in total, they are converted outside the async worker, because the
/// conversion takes longer than a millisecond.
const AT_ONCE_BYTES: usize = 16 << 10;

/// Length of what tells callers apart in idempotency keys: 128 bits, so that no two callers have the same.
const FINGERPRINT_CHARS: usize = 32;

impl Operations {
    /// Converts the identifiers of a part of a request that names no project. [`Operations::stored`] is for whole
    /// requests.
    ///
    /// # Errors
    /// The policy blocks an identifier, or the key of the pseudonyms is missing.
    pub(super) async fn stored_part<T: HasIdentifiers>(
        &self,
        request: &mut T,
    ) -> Result<CallerNames, Refusal> {
        let (engine, now) = (&self.engine, Timestamp::now());
        let mut bytes = 0;
        request.identifiers(&mut |name, _| bytes += name.len());
        request.compared(&mut |text| bytes += text.len());
        let mut named = |key: Option<&_>| {
            let mut work = || to_stored_names(engine.policy(), key, request, now);
            // A single-threaded runtime has no other worker that could take over its tasks.
            let has_others = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
            if bytes > AT_ONCE_BYTES && has_others { tokio::task::block_in_place(work) } else { work() }
        };
        if let Ok(caller_names) = named(engine.known_pseudonym_key()) {
            return Ok(caller_names);
        }
        let key = engine.pseudonym_key().await?;
        // With the key every identifier can be converted, so the result is always present.
        Ok(named(Some(&key)).unwrap_or_default())
    }

    /// Converts an idempotency key in the same way as an identifier, and applies the policy to it.
    pub(super) async fn stored_key(&self, key: Option<SentKey>) -> Result<Option<Key>, Refusal> {
        let Some(SentKey { mut key, request }) = key else { return Ok(None) };
        self.stored_part(&mut key).await?;
        // The key is not part of any event, so no later check applies the policy to it.
        let (policy, known) = (self.engine.policy(), self.engine.known_pseudonym_key());
        let place = ("Idempotency-Key", Form::Whole);
        let judged = policy.judge_identifier(known, place, &key, Timestamp::now(), &mut Counts::default());
        judged.map_err(WriteError::from)?;
        // A caller that is bound to projects has keys of its own: with those of others it could find out what they
        // sent. Other projects make other keys: with those from before its projects were changed, it would get answers
        // about projects that it has lost.
        let caller = self.session.caller();
        let key = match caller.bound_to() {
            Some(projects) => format!("{}/{key}", fingerprint(&caller.account(), projects)),
            None => key,
        };
        Ok(Some(Key { key, request }))
    }
}

/// Tells callers and their projects apart, whatever the order of the projects. The name of a caller is not stored: it
/// can be that of a person.
fn fingerprint(account: &str, projects: &[String]) -> String {
    let mut projects: Vec<&str> = projects.iter().map(String::as_str).collect();
    projects.sort_unstable();
    projects.dedup();
    // Neither an account nor the name of a project has a line break.
    let mut hash = Hash::of(format!("{account}\n{}", projects.join("\n")).as_bytes()).to_string();
    hash.truncate(FINGERPRINT_CHARS);
    hash
}

/// Replaces stored names in a response or an error with the names that the client sent.
pub(super) fn restore_names<T: HasIdentifiers>(
    caller_names: &CallerNames,
    outcome: Result<T, Refusal>,
) -> Result<T, Refusal> {
    outcome
        .map(|answer| caller_names.restore(answer))
        .map_err(|refusal| refusal.with_caller_names(caller_names))
}

impl<T: HasIdentifiers> HasIdentifiers for Written<T> {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        self.answer.identifiers(visit);
    }

    fn compared(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.answer.compared(visit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_and_their_projects_have_idempotency_keys_of_their_own() {
        let of = |account: &str, projects: &[&str]| {
            let projects: Vec<String> = projects.iter().map(|name| (*name).to_owned()).collect();
            fingerprint(account, &projects)
        };
        assert_eq!(of("key:a", &["x", "y"]), of("key:a", &["y", "x", "x"]));
        let others = [
            of("key:a", &["x"]),
            of("key:a", &["x", "y"]),
            of("key:a", &["xy"]),
            of("key:b", &["x"]),
            of("stored_key:a", &["x"]),
            of("token:a", &["x"]),
        ];
        let different: std::collections::BTreeSet<_> = others.iter().collect();
        assert_eq!(different.len(), others.len());
    }
}
