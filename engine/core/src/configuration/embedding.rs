//! `embedding`: the provider of vectors.

use super::key::Key;
use super::reader::Section;
use super::section::{section, words};
use super::service::{PER_MINUTE, PRICE_MAX, REQUESTS_PER_MINUTE_DEFAULT, Service};
use crate::embedding::DIMENSION_MAX;

section! {
    /// Which provider computes the vectors of texts, and its settings.
    "embedding" => Embedding, check check_combination {
        /// provider of vectors: [models](embeddings.md)
        "provider" provider: Provider, or Provider::BuiltIn, since "0.1.0"
            => Key::one_of(Provider::WORDS).field("spec.embedding.provider").field_note(", all but `model2vec`");
        /// complete URL of requests; required
        "url" url: String, since "0.1.0" => Key::text().needs("provider", "http")
                .field("spec.embedding.http.url");
        /// name of the model in requests; required
        "model" model: String, since "0.1.0" => Key::text().needs("provider", "http")
                .field("spec.embedding.http.model");
        /// dimension of the vectors, only for models that let the client choose it
        "dimension" dimension: usize, since "0.1.0"
            => Key::integer(1, DIMENSION_MAX as u64).absent("the model's").needs("provider", "http")
                .field("spec.embedding.http.dimension");
        /// file with the API key of the service
        "apiKeyFile" api_key_file: String, since "0.1.0" => Key::text().needs("provider", "http")
                .field("spec.embedding.http.keySecretRef");
        /// timeout of requests in the background
        "timeoutSeconds" timeout_seconds: u64, or 30, since "0.1.0"
            => Key::integer(1, 300).needs("provider", "http")
                .field("spec.embedding.http.timeoutSeconds");
        /// timeout of the request that a search waits for; longer waits are noticeable
        "queryTimeoutMillis" query_timeout_millis: u64, or 300, since "0.1.0"
            => Key::integer(10, 10_000).needs("provider", "http")
                .field("spec.embedding.http.queryTimeoutMillis");
        /// texts per request; every server accepts the default
        "batch" batch: usize, or 64, since "0.1.0" => Key::integer(1, 1_024).needs("provider", "http")
                .field("spec.embedding.http.batch");
        /// requests per minute, a quarter of them reserved for searches
        "maxRequestsPerMinute" max_requests_per_minute: u32, or REQUESTS_PER_MINUTE_DEFAULT, since "0.1.0"
            => Key::integer(PER_MINUTE.0, PER_MINUTE.1).needs("provider", "http")
                .field("spec.embedding.http.maxRequestsPerMinute");
        /// tokens per minute, a quarter of them reserved for searches
        "maxTokensPerMinute" max_tokens_per_minute: u32, since "0.1.0"
            => Key::integer(PER_MINUTE.0, PER_MINUTE.1).absent("no limit").needs("provider", "http")
                .field("spec.embedding.http.maxTokensPerMinute");
        /// price of a million tokens, for the cost counter
        "costPerMillionTokens" cost_per_million_tokens: f64, or 0.0, since "0.1.0"
            => Key::number(PRICE_MAX).needs("provider", "http")
                .field("spec.embedding.http.costPerMillionTokens");
        /// directory of the model; required
        "path" path: String, since "0.1.0" => Key::text().needs("provider", "model2vec");
    }
}

words! {
    /// Which provider computes vectors.
    Provider {
        /// A table built into the program.
        BuiltIn = "builtin",
        /// Computed by the program from spelling only.
        Hashing = "hashing",
        /// No vectors.
        Off = "none",
        /// An HTTP service.
        Http = "http",
        /// A model in a directory, run by the program.
        Directory = "model2vec",
    }
}

impl Embedding {
    /// The service, for [`Provider::Http`].
    #[must_use]
    pub fn service(&self) -> Service<'_> {
        Service {
            section: Embedding::NAME,
            url: self.url.as_deref(),
            model: self.model.as_deref(),
            api_key_file: self.api_key_file.as_deref(),
            timeout_seconds: self.timeout_seconds(),
            max_requests_per_minute: self.max_requests_per_minute(),
            max_tokens_per_minute: self.max_tokens_per_minute,
            cost_per_million_tokens: self.cost_per_million_tokens(),
        }
    }
}

fn check_combination(embedding: &Embedding, faults: &mut Vec<String>) {
    match embedding.provider() {
        Provider::BuiltIn | Provider::Hashing | Provider::Off => {}
        Provider::Http => embedding.service().check(faults),
        Provider::Directory if embedding.path.is_none() => {
            faults.push("embedding.path is missing: the directory of the model".into());
        }
        Provider::Directory => {}
    }
}
