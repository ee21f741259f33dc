//! Rerank requests in the format of Cohere, Jina and servers of open models (`POST /v1/rerank`).

use std::sync::Arc;
use std::time::Duration;

use engine_core::guard::Dependency;
use serde::{Deserialize, Serialize};

use super::RerankService;
use super::client::{Bounds, Client, ClientError, Provider, json};
use super::failure::Failure;
use super::limits::Purpose;
use super::observer::{CallObserver, PROBE_TEXT};
use crate::metrics::ProviderMetrics;
use crate::token_count;

/// Maximum number of bytes of a response for each document: index, score and punctuation. Some servers also return the
/// texts; these are counted separately.
const RESULT_BYTES_MAX: usize = 512;
/// Maximum number of bytes of a response besides its results.
const ANSWER_BYTES: usize = 64 << 10;

#[derive(Serialize)]
struct RequestBody<'a> {
    model: &'a str,
    query: &'a str,
    documents: &'a [&'a str],
    top_n: usize,
    return_documents: bool,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Scored>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    relevance_score: f64,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: Option<u64>,
}

/// A client of an external reranker.
#[derive(Debug)]
pub struct Reranker {
    client: Client,
    top: usize,
}

impl Reranker {
    /// Creates a reranker after validating its configuration. Sends no request.
    ///
    /// # Errors
    /// If the key or the CA certificates cannot be read, or TLS cannot be set up.
    pub fn new(
        service: RerankService,
        metrics: Arc<ProviderMetrics>,
        observer: Arc<dyn CallObserver>,
    ) -> Result<Reranker, ClientError> {
        let provider = Provider::new(Dependency::Rerank, service.service, false, metrics, observer)?;
        Ok(Reranker { client: Client::new(provider)?, top: service.top })
    }

    /// The service.
    pub fn provider(&self) -> &Provider {
        self.client.provider()
    }

    /// How many of the best results of a search are ranked.
    pub fn top(&self) -> usize {
        self.top
    }

    /// Returns the indexes of the documents, best first, each with its relevance score.
    ///
    /// # Errors
    /// If the request is not admitted or fails, or the answer does not score each document once.
    pub async fn rank(&self, query: &str, documents: &[&str]) -> Result<Vec<(usize, f64)>, Failure> {
        rerank(&self.client, query, documents, self.client.provider().service().timeout).await
    }

    /// Sends a request with a fixed text, to find out whether the service answers within the `budget`.
    ///
    /// # Errors
    /// As for [`Reranker::rank`].
    pub async fn probe(&self, budget: Duration) -> Result<(), Failure> {
        rerank(&self.client, PROBE_TEXT, &[PROBE_TEXT, PROBE_TEXT], budget).await.map(drop)
    }
}

/// Returns the indexes of the documents, best first, each with its relevance score.
pub(super) async fn rerank(
    client: &Client,
    query: &str,
    documents: &[&str],
    patience: Duration,
) -> Result<Vec<(usize, f64)>, Failure> {
    let texts = documents.iter().chain([&query]);
    let (bytes, tokens) =
        texts.fold((0, 0), |(bytes, tokens), text| (bytes + text.len(), tokens + token_count(text)));
    let bounds = Bounds {
        purpose: Purpose::Interactive,
        tokens: u32::try_from(tokens).unwrap_or(u32::MAX),
        patience,
        // A JSON string may use six bytes for each byte of a text.
        answer_bytes_max: ANSWER_BYTES + documents.len() * RESULT_BYTES_MAX + 6 * bytes,
    };
    let model = &client.provider().service().model;
    let top_n = documents.len();
    let body = json(&RequestBody { model, query, documents, top_n, return_documents: false });
    let (ranked, told) = client.post(body, bounds, |bytes| read(bytes, documents.len())).await?;
    client.provider().count_tokens(told.unwrap_or(tokens as u64));
    Ok(ranked)
}

type Read = (Vec<(usize, f64)>, Option<u64>);

fn read(bytes: &[u8], count: usize) -> Result<Read, Failure> {
    let Answer { results, usage } =
        serde_json::from_slice(bytes).map_err(|_| Failure::Malformed("no list of results"))?;
    let mut seen = vec![false; count];
    for Scored { index, relevance_score } in &results {
        let place = seen.get_mut(*index).ok_or(Failure::Malformed("an index that no document has"))?;
        if std::mem::replace(place, true) || !relevance_score.is_finite() {
            return Err(Failure::Malformed("not one score for each document"));
        }
    }
    if results.len() != count {
        return Err(Failure::Malformed("not one score for each document"));
    }
    let mut ranked: Vec<(usize, f64)> =
        results.into_iter().map(|scored| (scored.index, scored.relevance_score)).collect();
    // Documents with equal scores keep their previous order.
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok((ranked, usage.and_then(|usage| usage.total_tokens)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_come_best_first() {
        let text = r#"{"results": [{"index": 0, "relevance_score": 0.1}, {"index": 2, "relevance_score": 0.9},
            {"index": 1, "relevance_score": 0.1}]}"#;
        assert_eq!(read(text.as_bytes(), 3).unwrap().0, [(2, 0.9), (0, 0.1), (1, 0.1)]);
    }

    #[test]
    fn what_is_not_one_score_for_each_document_is_refused() {
        for text in [
            r#"{"results": [{"index": 0, "relevance_score": 0.1}]}"#,
            r#"{"results": [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 1}]}"#,
            r#"{"results": [{"index": 0, "relevance_score": 1}, {"index": 2, "relevance_score": 1}]}"#,
            r#"{"results": [{"index": 0, "relevance_score": null}, {"index": 1, "relevance_score": 1}]}"#,
            "[]",
        ] {
            assert_eq!(read(text.as_bytes(), 2).unwrap_err().label(), "malformed", "{text}");
        }
    }
}
