//! Finding memories.

use std::sync::Arc;

use engine_core::row::microseconds;
use engine_core::wire::SearchAnswer;
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
        let told = self.stored(&mut search).await?;
        let answer = self.search_stored(search, min_seq).await?;
        // Answers are kept with the names of the log: another client may call things otherwise.
        Ok(if told.is_empty() { answer } else { Arc::new(told.back((*answer).clone())) })
    }

    async fn search_stored(
        &self,
        search: Search,
        min_seq: Option<u64>,
    ) -> Result<Arc<SearchAnswer>, Refusal> {
        self.wait_for(min_seq).await?;
        let key = self.answer_key(&search, "");
        let now = microseconds(search.moment.now);
        if let Some(Answer::Search(answer)) = self.engine.answers.find("search", &key, now) {
            return Ok(answer);
        }
        let asked = self.ask_outside(&search).await?;
        let retrieval = Arc::clone(&self.engine.retrieval);
        let found =
            self.query("search", Some(0), move |connection| retrieval.search(connection, &search, &asked));
        let (answer, until) = found.await?;
        let answer = Arc::new(answer);
        self.engine.answers.keep(key, Answer::Search(Arc::clone(&answer)), until);
        Ok(answer)
    }

    /// Waits for what a read is to reflect: this event, or everything that was durable when the request came.
    pub(super) async fn wait_for(&self, min_seq: Option<u64>) -> Result<(), Refusal> {
        let wanted = min_seq.unwrap_or_else(|| self.engine.published.head_seq());
        Ok(self.engine.projection.wait_for(wanted).await?)
    }

    /// What is asked, and of which state. Of the clock nothing is in it: an answer says itself how long it is right.
    pub(super) fn answer_key(&self, search: &Search, more: &str) -> AnswerKey {
        let timeless =
            Search { moment: Moment { now: Timestamp::UNIX_EPOCH, ..search.moment }, ..search.clone() };
        let vectors = self.engine.embeddings.as_ref().map_or(0, |embeddings| embeddings.version());
        AnswerKey {
            project: search.project.clone(),
            mode: search.mode,
            weights: self.engine.retrieval.weights_version(),
            applied_seq: self.engine.projection.version(search.project.as_deref()),
            request: format!("{timeless:?}{more} {vectors}"),
        }
    }
}
