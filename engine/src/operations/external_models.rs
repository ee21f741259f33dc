//! Calls external models before a search runs. If a call fails, the search runs without the result of that call.

use std::time::Instant;

use engine_core::retrieval::question::AnalysedQuery;
use engine_core::wire::{Degraded, SearchMode};

use super::handle::Operations;
use crate::refusal::Refusal;
use engine_projection::Search;
use engine_retrieval::ProviderResults;
use engine_retrieval::providers::Failure;

impl Operations {
    /// Returns the results of the external models for a search. If no model is configured, makes no call and returns no
    /// results.
    pub(super) async fn ask_outside(&self, search: &Search) -> Result<ProviderResults, Refusal> {
        let mut asked = ProviderResults::default();
        if search.mode == SearchMode::Lexical || AnalysedQuery::read(&search.words).words.is_empty() {
            return Ok(asked);
        }
        if let Some(embeddings) = &self.engine.embeddings {
            let started = Instant::now();
            match embeddings.ask(&search.words).await {
                Ok(vector) => asked.vector = vector,
                Err(failure) => asked.degraded.push(without("vector", "embedding", failure)),
            }
            asked.embed_time = started.elapsed();
        }
        if self.engine.reranker.is_some() {
            let started = Instant::now();
            self.ask_reranker(search, &mut asked).await?;
            asked.rerank_time = started.elapsed();
        }
        Ok(asked)
    }

    async fn ask_reranker(&self, search: &Search, asked: &mut ProviderResults) -> Result<(), Refusal> {
        let Some(reranker) = &self.engine.reranker else { return Ok(()) };
        let (retrieval, top) = (std::sync::Arc::clone(&self.engine.retrieval), reranker.top());
        let (search_again, so_far) = (search.clone(), asked.clone());
        let documents = self.query("rerank", Some(0), move |connection| {
            retrieval.documents(connection, &search_again, &so_far, top)
        });
        let documents = documents.await?;
        let texts: Vec<&str> = documents.iter().map(|(_, text)| text.as_str()).collect();
        // A single document needs no ranking.
        if texts.len() < 2 {
            return Ok(());
        }
        match reranker.rank(&search.words, &texts).await {
            Ok(ranked) => {
                asked.reranked =
                    ranked.into_iter().map(|(place, score)| (documents[place].0, score)).collect();
            }
            Err(failure) => asked.degraded.push(without("rerank", "rerank", failure)),
        }
        Ok(())
    }
}

fn without(lane: &str, provider: &str, failure: Failure) -> Degraded {
    Degraded { lane: lane.to_owned(), reason: format!("{provider}_{}", failure.label()) }
}
