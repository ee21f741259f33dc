//! A probe: every dependency of a read is called once, with something that is known, within one budget.

use std::sync::Arc;
use std::time::Duration;

use super::DependencyCall;
use crate::engine::Engine;

/// Reads the newest memory, or only the position of an empty projection. The read takes no turn: a probe is
/// to find out whether reads work, not whether there are many.
const NEWEST: &str =
    "SELECT (SELECT seq FROM applied), (SELECT content FROM memories ORDER BY seq DESC LIMIT 1)";

impl Engine {
    /// Whether every dependency answers correctly within the budget.
    pub(crate) async fn probe(self: &Arc<Self>, budget: Duration) -> bool {
        let embedding = async {
            match &self.embeddings {
                Some(embeddings) => embeddings.probe(budget).await.is_ok(),
                None => true,
            }
        };
        let rerank = async {
            match &self.reranker {
                Some(reranker) => reranker.probe(budget).await.is_ok(),
                None => true,
            }
        };
        let all = async { tokio::join!(self.probe_projection(), embedding, rerank) };
        match tokio::time::timeout(budget, all).await {
            Ok((projection, embedding, rerank)) => projection && embedding && rerank,
            Err(_) => false,
        }
    }

    async fn probe_projection(self: &Arc<Self>) -> bool {
        let engine = Arc::clone(self);
        let call = DependencyCall::of_projection(&self.modes);
        let reading = call.clone();
        let read = tokio::task::spawn_blocking(move || {
            reading.begin();
            engine.projection.read_blocking(|connection| {
                let mut statement = connection.prepare_cached(NEWEST)?;
                statement.query_row([], |row| row.get::<_, Option<String>>(1).map(drop))
            })
        });
        match read.await {
            Ok(answer) => {
                call.end(&answer);
                answer.is_ok()
            }
            Err(_) => false,
        }
    }
}
