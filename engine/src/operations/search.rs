//! Finding memories.

use engine_core::wire::SearchAnswer;

use super::Operations;
use crate::projection::Search;
use crate::refusal::Refusal;

impl Operations {
    /// Finds memories, best first.
    pub(crate) async fn search(&self, search: Search, min_seq: Option<u64>) -> Result<SearchAnswer, Refusal> {
        let retrieval = std::sync::Arc::clone(&self.engine.retrieval);
        self.query("search", min_seq, move |connection| retrieval.search(connection, &search)).await
    }
}
