//! Finding memories.

use engine_core::wire::SearchAnswer;

use super::Operations;
use crate::projection::Search;
use crate::refusal::Refusal;

impl Operations {
    /// Finds memories, best first.
    pub(crate) async fn search(&self, search: Search, min_seq: Option<u64>) -> Result<SearchAnswer, Refusal> {
        self.query("search", min_seq, move |connection| search.run(connection)).await
    }
}
