//! The parts of the configuration about models: the embedding model and the reranker.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use engine_core::configuration::{self, Provider, Rerank, address_fault};
use hyper::Uri;

use engine_retrieval::Model;
use engine_retrieval::providers::{EmbeddingService, RerankService, Service};
use service::secret_file::Exposed;

/// The configured embedding model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Embedding {
    /// A model that is part of the program.
    InProcess(Model),
    /// A model in files, which the program runs.
    Directory(PathBuf),
    /// An external embedding service.
    Http(EmbeddingService),
}

impl Default for Embedding {
    fn default() -> Embedding {
        Embedding::InProcess(Model::default())
    }
}

pub(super) fn embedding(
    section: &configuration::Embedding,
    exposed: Exposed,
    faults: &mut Vec<String>,
) -> Embedding {
    match section.provider() {
        Provider::BuiltIn => Embedding::InProcess(Model::BuiltIn),
        Provider::Hashing => Embedding::InProcess(Model::Hashing),
        Provider::Off => Embedding::InProcess(Model::Off),
        Provider::Directory => {
            section.path.as_ref().map_or_else(Embedding::default, |path| Embedding::Directory(path.into()))
        }
        Provider::Http => {
            service(&section.service(), exposed, faults).map_or_else(Embedding::default, |service| {
                Embedding::Http(EmbeddingService {
                    service,
                    dimension: section.dimension,
                    query_timeout: Duration::from_millis(section.query_timeout_millis()),
                    batch: section.batch(),
                })
            })
        }
    }
}

/// Returns the reranking service; `None` if the file has no such section.
pub(super) fn rerank(section: &Rerank, exposed: Exposed, faults: &mut Vec<String>) -> Option<RerankService> {
    let service = service(&section.service(), exposed, faults)?;
    Some(RerankService { service, top: section.top() })
}

/// Returns the service if one is configured.
fn service(
    section: &configuration::Service<'_>,
    exposed: Exposed,
    faults: &mut Vec<String>,
) -> Option<Service> {
    let (url, model) = (section.url?, section.model?);
    let Ok(url) = url.parse::<Uri>() else {
        faults.push(address_fault(section.section));
        return None;
    };
    Some(Service {
        url,
        model: model.to_owned(),
        key_file: section.api_key_file.map(PathBuf::from),
        exposed_key: exposed,
        timeout: Duration::from_secs(section.timeout_seconds),
        requests_per_minute: NonZeroU32::new(section.max_requests_per_minute)?,
        tokens_per_minute: section.max_tokens_per_minute.and_then(NonZeroU32::new),
        price_per_million: section.price_per_million(),
    })
}

#[cfg(test)]
mod tests {
    use engine_core::configuration::Configuration;

    use super::super::tests::parse;
    use super::*;

    #[test]
    fn a_service_needs_an_address_and_a_model() {
        let config = parse(
            "embedding: {provider: http, url: 'https://models.example/v1/embeddings', model: small, dimension: 256,\n\
             \x20 apiKeyFile: /run/key, timeoutSeconds: 10, queryTimeoutMillis: 500, batch: 16,\n\
             \x20 maxRequestsPerMinute: 60, maxTokensPerMinute: 100000, costPerMillionTokens: 0.02}\n\
             rerank: {url: 'http://reranker:8080/rerank', model: cross, top: 20}",
        )
        .unwrap();
        let Embedding::Http(http) = config.embedding else { panic!("{config:?}") };
        assert_eq!((http.dimension, http.batch, http.query_timeout.as_millis()), (Some(256), 16, 500));
        assert_eq!((http.service.price_per_million, http.service.timeout.as_secs()), (20_000, 10));
        assert_eq!(http.service.tokens_per_minute.map(NonZeroU32::get), Some(100_000));
        let rerank = config.rerank.unwrap();
        let default = Configuration::default().rerank.timeout_seconds();
        assert_eq!((rerank.top, rerank.service.timeout.as_secs()), (20, default));
        let nothing = parse("{}").unwrap();
        assert_eq!((nothing.embedding, nothing.rerank), (Embedding::default(), None));
        let of = |text: &str| parse(text).unwrap().embedding;
        assert_eq!(of("embedding: {provider: none}"), Embedding::InProcess(Model::Off));
        assert_eq!(of("embedding: {provider: hashing}"), Embedding::InProcess(Model::Hashing));
        assert_eq!(of("embedding: {provider: builtin}"), Embedding::default());
        let directory = of("embedding: {provider: model2vec, path: /models/a}");
        assert_eq!(directory, Embedding::Directory("/models/a".into()));
    }

    #[test]
    fn every_fault_is_named() {
        for (text, parts) in [
            ("embedding: {provider: htp}", vec!["embedding.provider"]),
            ("embedding: {provider: http}", vec!["embedding.url", "embedding.model"]),
            ("embedding: {url: 'http://a/'}", vec!["embedding.url needs"]),
            ("embedding: {provider: model2vec}", vec!["embedding.path"]),
            ("embedding: {provider: model2vec, path: /a, batch: 2}", vec!["embedding.batch needs"]),
            (
                "embedding: {provider: http, url: 'http://a/', model: m, path: /a}",
                vec!["embedding.path needs"],
            ),
            ("embedding: {provider: http, url: 'ftp://a/', model: m}", vec!["embedding.url must"]),
            ("embedding: {provider: http, url: 'http://a b/', model: m}", vec!["embedding.url must"]),
            ("embedding: {provider: http, url: 'https://u:p@a/', model: m}", vec!["embedding.url must"]),
            ("embedding: {provider: http, url: 'http://a/', model: m, apiKeyFile: /k}", vec!["https"]),
            ("rerank: {url: 'http://a/', model: m, top: 1}", vec!["rerank.top"]),
            ("rerank: {}", vec!["rerank.url", "rerank.model"]),
            ("rerank: {url: 'http://a/', model: m, costPerMillionTokens: -1}", vec!["rerank.cost"]),
            (
                "rerank: {url: 'http://a/', model: m, maxRequestsPerMinute: 3, x: 1}",
                vec!["\"x\"", "rerank.max"],
            ),
        ] {
            let faults = parse(text).unwrap_err();
            assert_eq!(faults.len(), parts.len(), "{text}: {faults:?}");
            for (fault, part) in faults.iter().zip(parts) {
                assert!(fault.contains(part), "{text}: {fault}");
            }
        }
        assert!(parse("rerank: {url: 'http://[::1]:1/', model: m, apiKeyFile: /k}").is_ok());
    }
}
