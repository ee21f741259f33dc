//! `rerank`: the service that reranks the best results of a search.

use super::key::Key;
use super::reader::Section;
use super::section::section;
use super::service::{PER_MINUTE, PRICE_MAX, REQUESTS_PER_MINUTE_DEFAULT, Service};

section! {
    /// The service that reranks the best results of a search. Reranking is off when the section is absent.
    "rerank" => Rerank, check check_combination {
        /// complete URL of requests: [models](embeddings.md); required
        "url" url: String, since "0.1.0" => Key::text().field("spec.rerank.url");
        /// name of the model in requests; required
        "model" model: String, since "0.1.0" => Key::text().field("spec.rerank.model");
        /// number of results to rerank
        "top" top: usize, or 50, since "0.1.0" => Key::integer(2, 200).field("spec.rerank.top");
        /// file with the API key of the service
        "apiKeyFile" api_key_file: String, since "0.1.0" => Key::text().field("spec.rerank.keySecretRef");
        /// timeout of a request, which a search waits for
        "timeoutSeconds" timeout_seconds: u64, or 2, since "0.1.0"
            => Key::integer(1, 30).field("spec.rerank.timeoutSeconds");
        /// requests per minute; searches beyond them are not reranked
        "maxRequestsPerMinute" max_requests_per_minute: u32, or REQUESTS_PER_MINUTE_DEFAULT, since "0.1.0"
            => Key::integer(PER_MINUTE.0, PER_MINUTE.1).field("spec.rerank.maxRequestsPerMinute");
        /// tokens per minute
        "maxTokensPerMinute" max_tokens_per_minute: u32, since "0.1.0"
            => Key::integer(PER_MINUTE.0, PER_MINUTE.1).absent("no limit").field("spec.rerank.maxTokensPerMinute");
        /// price of a million tokens, for the cost counter
        "costPerMillionTokens" cost_per_million_tokens: f64, or 0.0, since "0.1.0"
            => Key::number(PRICE_MAX).field("spec.rerank.costPerMillionTokens");
    }
}

impl Rerank {
    /// The service's settings.
    #[must_use]
    pub fn service(&self) -> Service<'_> {
        Service {
            section: Rerank::NAME,
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

fn check_combination(rerank: &Rerank, faults: &mut Vec<String>) {
    rerank.service().check(faults);
}
