//! The service that reranks the best results of a search.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::external_service::KeyReference;

/// A service with the API of Cohere's and Jina's `/v1/rerank`, which reranks the best results of a search. It receives
/// the query and these results. The network policy is as for `embedding.http`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rerank {
    /// Complete URL of requests, for example `https://models.example.com/v1/rerank`; without user and password.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = super::external_service::URL)
    )]
    pub url: String,

    /// Name of the model in requests, for example `rerank-v3.5`.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = super::external_service::MODEL)
    )]
    pub model: String,

    /// Number of results to rerank, 2 to 200. Defaults to 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 200))]
    pub top: Option<i32>,

    /// The Secret with the API key of the service. Requires an `https://` URL. Defaults to requests without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<KeyReference>,

    /// Timeout of a request, which a search waits for, in seconds, 1 to 30. Defaults to 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 30))]
    pub timeout_seconds: Option<i32>,

    /// Maximum number of requests per minute, 4 to 4,294,967,295; searches beyond them are not reranked. Defaults to
    /// 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 4_294_967_295_i64))]
    pub max_requests_per_minute: Option<i64>,

    /// Maximum number of tokens per minute, 4 to 4,294,967,295. Defaults to no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 4_294_967_295_i64))]
    pub max_tokens_per_minute: Option<i64>,

    /// Price of a million tokens, 0 to 1,000,000, for the cost counter, for example `2`. Defaults to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub cost_per_million_tokens: Option<f64>,
}
