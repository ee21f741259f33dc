//! The one place where names of requests become those under which things are stored. Every operation begins here,
//! before it looks, waits for its turn or writes; its answer calls things what the request called them.

use engine_core::identity::{Identified, Told, Visit, stored};
use engine_core::policy::{Counts, Form};
use jiff::Timestamp;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::handle::{Operations, Written};
use super::idempotency::SentKey;
use crate::policy_gate::WriteError;
use crate::refusal::Refusal;
use engine_log::Key;

/// Names with more bytes than this together are looked at where no other request waits: longer than a millisecond.
const AT_ONCE_BYTES: usize = 16 << 10;

impl Operations {
    /// Turns the identifiers of a request into those that things are stored under; the answer is to be told with what
    /// comes back.
    pub(super) async fn stored<T: Identified>(&self, request: &mut T) -> Result<Told, Refusal> {
        let (engine, now) = (&self.engine, Timestamp::now());
        let mut bytes = 0;
        request.identifiers(&mut |name, _| bytes += name.len());
        request.compared(&mut |text| bytes += text.len());
        let mut named = |key: Option<&_>| {
            let mut work = || stored(engine.policy(), key, request, now);
            // A runtime of one thread has nobody to pass its work on to.
            let has_others = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
            if bytes > AT_ONCE_BYTES && has_others { tokio::task::block_in_place(work) } else { work() }
        };
        if let Ok(told) = named(engine.known_pseudonym_key()) {
            return Ok(told);
        }
        let key = engine.pseudonym_key().await?;
        // With the key every name can be told.
        Ok(named(Some(&key)).unwrap_or_default())
    }

    /// The same of an idempotency key, which names a request.
    pub(super) async fn stored_key(&self, key: Option<SentKey>) -> Result<Option<Key>, Refusal> {
        let Some(SentKey { mut key, request }) = key else { return Ok(None) };
        self.stored(&mut key).await?;
        // It stands in no draft, so that no gate looks at it again.
        let (policy, known) = (self.engine.policy(), self.engine.known_pseudonym_key());
        let place = ("Idempotency-Key", Form::Whole);
        let judged = policy.judge_identifier(known, place, &key, Timestamp::now(), &mut Counts::default());
        judged.map_err(WriteError::from)?;
        Ok(Some(Key { key, request }))
    }
}

/// Calls things what the request called them, in an error as well.
pub(super) fn tell<T: Identified>(told: &Told, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
    outcome.map(|answer| told.back(answer)).map_err(|refusal| refusal.told(told))
}

impl<T: Identified> Identified for Written<T> {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        self.answer.identifiers(visit);
    }

    fn compared(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.answer.compared(visit);
    }
}
