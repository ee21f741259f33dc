//! Searches memories, with a cache of responses.

use std::sync::Arc;

use engine_core::request;
use engine_core::row::microseconds;
use engine_core::wire::{Invalidated, SearchAnswer};
use jiff::Timestamp;

use super::handle::Operations;
use crate::cache::{Answer, AnswerKey};
use crate::refusal::Refusal;
use engine_projection::{Moment, Search};

impl Operations {
    /// Finds memories, best first.
    pub(crate) async fn search(
        &self,
        mut search: Search,
        min_seq: Option<u64>,
    ) -> Result<Arc<SearchAnswer>, Refusal> {
        let permit = self.admit_read()?;
        let asked = self.note(|| Some(search.clone()));
        let caller_names = self.stored(&permit, &mut search).await?;
        let answer = self.search_stored(search, min_seq).await?;
        self.tell(asked);
        // The cache holds stored names, because another client may use other names for the same things.
        Ok(if caller_names.is_empty() { answer } else { Arc::new(caller_names.restore((*answer).clone())) })
    }

    async fn search_stored(
        &self,
        search: Search,
        min_seq: Option<u64>,
    ) -> Result<Arc<SearchAnswer>, Refusal> {
        self.wait_for(min_seq).await?;
        let key = self.answer_key(&search, "");
        let now = microseconds(search.moment.now);
        // Two revisions have seen other questions, so that what their caches have cannot be compared.
        let is_compared = self.session.is_compared();
        if !is_compared && let Some(Answer::Search(answer)) = self.engine.answers.find("search", &key, now) {
            return Ok(answer);
        }
        let asked = self.ask_outside(&search).await?;
        let retrieval = Arc::clone(&self.engine.retrieval);
        let found =
            self.query("search", Some(0), move |connection| retrieval.search(connection, &search, &asked));
        let (answer, until) = found.await?;
        let answer = Arc::new(answer);
        if !is_compared {
            self.engine.answers.keep(key, Answer::Search(Arc::clone(&answer)), until);
        }
        Ok(answer)
    }

    /// Removes the cached answers to requests of a session.
    pub(crate) async fn invalidate_contexts(&self, mut session: String) -> Result<Invalidated, Refusal> {
        request::filter("session", &session)?;
        self.stored_part(&mut session).await?;
        Ok(Invalidated { removed: self.engine.answers.invalidate_session(&session) })
    }

    /// Waits until the projection has applied event `min_seq`. Without `min_seq`, waits for all events that were
    /// durable when the request arrived.
    pub(super) async fn wait_for(&self, min_seq: Option<u64>) -> Result<(), Refusal> {
        let wanted = min_seq.unwrap_or_else(|| self.engine.published.head_seq());
        Ok(self.engine.projection.wait_for(wanted).await?)
    }

    /// The cache key of a request. It does not contain the time, because each cached response has its own expiry.
    pub(super) fn answer_key(&self, search: &Search, more: &str) -> AnswerKey {
        let timeless =
            Search { moment: Moment { now: Timestamp::UNIX_EPOCH, ..search.moment }, ..search.clone() };
        let vectors = self.engine.embeddings.as_ref().map_or(0, |embeddings| embeddings.version());
        AnswerKey {
            project: search.project.clone(),
            session: search.session.clone(),
            mode: search.mode,
            weights: self.engine.retrieval.weights_version(),
            applied_seq: self.engine.projection.version(search.project.as_deref()),
            request: format!("{timeless:?}{more} {vectors}"),
        }
    }
}
