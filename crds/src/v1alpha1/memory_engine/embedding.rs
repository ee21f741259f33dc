//! The provider of the vectors for semantic search.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::external_service::KeyReference;

/// The provider of the vectors for semantic search. `builtin`, `hashing` and `none` need no settings, and send nothing
/// outside of the engine; `http` needs the section `http`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Embedding {
    /// Which provider computes vectors. `builtin` (default) uses a table in the engine that places words with similar
    /// meaning close together. `hashing` computes vectors from spelling only. `none` disables vectors: searches use
    /// words and the structure in which memories were saved. `http` sends texts and queries to the service in `http`.
    #[serde(default)]
    pub provider: EmbeddingProvider,

    /// The service outside of the engine; only with `provider: http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<EmbeddingService>,
}

/// Which provider computes vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingProvider {
    /// A table in the engine that places words with similar meaning close together.
    #[default]
    Builtin,
    /// Computed in the engine from spelling only: needs no table, and ignores meaning.
    Hashing,
    /// No vectors: searches use words and the structure in which memories were saved.
    #[serde(rename = "none")]
    Off,
    /// A service with the API of OpenAI's `/v1/embeddings`, which receives the title and the content of every memory.
    Http,
}

impl EmbeddingProvider {
    /// Spelling in the engine's configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Hashing => "hashing",
            Self::Off => "none",
            Self::Http => "http",
        }
    }
}

/// A service with the API of OpenAI's `/v1/embeddings`. With `exposure.networkPolicy: Managed` the engine may resolve
/// names and connect to the port of `url`; other pods of the cluster may need a policy of your own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmbeddingService {
    /// Complete URL of requests, for example `https://models.example.com/v1/embeddings`; without user and password.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = super::external_service::URL)
    )]
    pub url: String,

    /// Name of the model in requests, for example `text-embedding-3-small`.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = super::external_service::MODEL)
    )]
    pub model: String,

    /// Dimension of the vectors, 1 to 4,096, only for models that let the client choose it. Defaults to the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub dimension: Option<i32>,

    /// The Secret with the API key of the service. Requires an `https://` URL. Defaults to requests without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<KeyReference>,

    /// Timeout of requests in the background in seconds, 1 to 300. Defaults to 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: Option<i32>,

    /// Timeout of the request that a search waits for in milliseconds, 10 to 10,000. Defaults to 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 10_000))]
    pub query_timeout_millis: Option<i32>,

    /// Number of texts in a request, 1 to 1,024. Defaults to 64, which every server accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub batch: Option<i32>,

    /// Maximum number of requests per minute, 4 to 4,294,967,295; a quarter of them is reserved for searches. Defaults
    /// to 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 4_294_967_295_i64))]
    pub max_requests_per_minute: Option<i64>,

    /// Maximum number of tokens per minute, 4 to 4,294,967,295; a quarter of them is reserved for searches. Defaults to
    /// no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 4_294_967_295_i64))]
    pub max_tokens_per_minute: Option<i64>,

    /// Price of a million tokens, 0 to 1,000,000, for the cost counter, for example `0.02`. Defaults to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub cost_per_million_tokens: Option<f64>,
}
