//! The parts of the configuration about models: what makes vectors, and what ranks.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use serde_yaml::{Mapping, Value};

use super::{section, text, whole};
use engine_retrieval::Model;
use engine_retrieval::providers::{DIMENSION_MAX, EmbeddingService, PARTS, RerankService, Service};

/// Texts in a request to a model, when the file does not say: what every server takes.
const BATCH: usize = 64;
/// How long a search waits for its vector, when the file does not say: beyond this people notice.
const QUERY_TIMEOUT: Duration = Duration::from_millis(300);
/// The longest a request in the background may take, and one to a reranker, when the file does not say.
const TIMEOUT_S: u64 = 30;
const RERANK_TIMEOUT_S: u64 = 2;
/// Requests in a minute, when the file does not say.
const REQUESTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(600).expect("not zero");
/// The best so many are ranked again, when the file does not say.
const TOP: usize = 50;

/// What makes vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Embedding {
    /// The program itself.
    InProcess(Model),
    /// A model in files, run by the program.
    Directory(PathBuf),
    /// A service outside.
    Http(EmbeddingService),
}

impl Default for Embedding {
    fn default() -> Embedding {
        Embedding::InProcess(Model::default())
    }
}

/// Providers beside those that need nothing.
const HTTP: &str = "http";
const DIRECTORY: &str = "model2vec";

const SERVICE_KEYS: [&str; 7] = [
    "url",
    "model",
    "apiKeyFile",
    "timeoutSeconds",
    "maxRequestsPerMinute",
    "maxTokensPerMinute",
    "costPerMillionTokens",
];

fn with_service_keys(more: &[&'static str]) -> Vec<&'static str> {
    more.iter().copied().chain(SERVICE_KEYS).collect()
}

/// What `embedding` says.
pub(super) fn embedding(value: &Value, faults: &mut Vec<String>) -> Embedding {
    const NAME: &str = "embedding";
    let http_keys = with_service_keys(&["provider", "dimension", "queryTimeoutMillis", "batch"]);
    let keys: Vec<&str> = http_keys.iter().copied().chain(["path"]).collect();
    let part = section(value, NAME, &keys, faults);
    let provider = text(&part, NAME, "provider", faults);
    let belong = match provider {
        Some(HTTP) => http_keys.as_slice(),
        Some(DIRECTORY) => &["provider", "path"],
        _ => &["provider"],
    };
    for key in part.keys().filter_map(Value::as_str) {
        if keys.contains(&key) && !belong.contains(&key) {
            let of = if key == "path" { DIRECTORY } else { HTTP };
            faults.push(format!("{NAME}.{key} needs {NAME}.provider to be {of}"));
        }
    }
    match provider {
        None => Embedding::default(),
        Some(HTTP) => {
            let dimension = whole(&part, NAME, "dimension", 1..=DIMENSION_MAX as u64, faults);
            let query_timeout = whole(&part, NAME, "queryTimeoutMillis", 10..=10_000, faults);
            let batch = whole(&part, NAME, "batch", 1..=1_024, faults);
            let service = service(&part, NAME, (1..=300, TIMEOUT_S), faults);
            service.map_or_else(Embedding::default, |service| {
                Embedding::Http(EmbeddingService {
                    service,
                    dimension: dimension.map(size),
                    query_timeout: query_timeout.map_or(QUERY_TIMEOUT, Duration::from_millis),
                    batch: batch.map_or(BATCH, size),
                })
            })
        }
        Some(DIRECTORY) => match text(&part, NAME, "path", faults) {
            Some(path) => Embedding::Directory(path.into()),
            None => {
                faults.push(format!("{NAME}.path is missing: the directory of the model"));
                Embedding::default()
            }
        },
        Some(name) => Model::named(name).map_or_else(
            || {
                let names = Model::NAMES.join(", ");
                faults.push(format!("{NAME}.provider must be one of {names}, {HTTP}, {DIRECTORY}"));
                Embedding::default()
            },
            Embedding::InProcess,
        ),
    }
}

/// What `rerank` says; absent when there is no such part.
pub(super) fn rerank(value: &Value, faults: &mut Vec<String>) -> Option<RerankService> {
    const NAME: &str = "rerank";
    let part = section(value, NAME, &with_service_keys(&["top"]), faults);
    if value.is_null() {
        return None;
    }
    let top = whole(&part, NAME, "top", 2..=200, faults);
    let service = service(&part, NAME, (1..=30, RERANK_TIMEOUT_S), faults)?;
    Some(RerankService { service, top: top.map_or(TOP, size) })
}

fn service(
    part: &Mapping,
    name: &str,
    (timeout, timeout_default): (std::ops::RangeInclusive<u64>, u64),
    faults: &mut Vec<String>,
) -> Option<Service> {
    let url = text(part, name, "url", faults).map(str::to_owned);
    let model = text(part, name, "model", faults).map(str::to_owned);
    let key_file = text(part, name, "apiKeyFile", faults).map(PathBuf::from);
    for (key, missing) in [("url", url.is_none()), ("model", model.as_ref().is_none_or(String::is_empty))] {
        if missing {
            faults.push(format!("{name}.{key} is missing"));
        }
    }
    let timeout = whole(part, name, "timeoutSeconds", timeout, faults).unwrap_or(timeout_default);
    let per_minute = u64::from(PARTS)..=u64::from(u32::MAX);
    let requests = whole(part, name, "maxRequestsPerMinute", per_minute.clone(), faults);
    let tokens = whole(part, name, "maxTokensPerMinute", per_minute, faults);
    let price_per_million = price(part, name, faults);
    let url = url.and_then(|url| address(&url, name, key_file.is_some(), faults))?;
    let limit = |limit: u64| u32::try_from(limit).ok().and_then(NonZeroU32::new);
    Some(Service {
        url,
        model: model?,
        key_file,
        timeout: Duration::from_secs(timeout),
        requests_per_minute: requests.and_then(limit).unwrap_or(REQUESTS_PER_MINUTE),
        tokens_per_minute: tokens.and_then(limit),
        price_per_million,
    })
}

/// An address that requests may be sent to. A key is sent where nobody on the way can read it.
fn address(url: &str, name: &str, with_key: bool, faults: &mut Vec<String>) -> Option<Uri> {
    let parsed: Option<Uri> = url.parse().ok();
    let parsed = parsed.filter(|url| {
        let host = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        host && matches!(url.scheme_str(), Some("http" | "https"))
    });
    let Some(url) = parsed else {
        faults.push(format!(
            "{name}.url must be the whole address of requests, http:// or https://, without user and password"
        ));
        return None;
    };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let stays_here =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if with_key && url.scheme_str() == Some("http") && !stays_here {
        faults.push(format!("{name}.url must be https:// where {name}.apiKeyFile is given"));
        return None;
    }
    Some(url)
}

/// In millionths, so that it is counted without error.
fn price(part: &Mapping, name: &str, faults: &mut Vec<String>) -> u64 {
    const MAX: f64 = 1e6;
    let Some(value) = part.get("costPerMillionTokens") else { return 0 };
    match value.as_f64().filter(|price| (0.0..=MAX).contains(price)) {
        Some(price) => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 10^12 by the look above"
            )]
            let millionths = (price * 1e6).round() as u64;
            millionths
        }
        None => {
            faults.push(format!("{name}.costPerMillionTokens must be a number from 0 to {MAX}"));
            0
        }
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Embedding, Option<RerankService>, Vec<String>) {
        let value: Value = serde_yaml::from_str(text).unwrap();
        let mut faults = Vec::new();
        let part = |name: &str| value.get(name).cloned().unwrap_or(Value::Null);
        let found = (embedding(&part("embedding"), &mut faults), rerank(&part("rerank"), &mut faults));
        (found.0, found.1, faults)
    }

    #[test]
    fn a_service_needs_an_address_and_a_model() {
        let (embedding, rerank, faults) = parsed(
            "embedding: {provider: http, url: 'https://models.example/v1/embeddings', model: small, dimension: 256,\n\
             \x20 apiKeyFile: /run/key, timeoutSeconds: 10, queryTimeoutMillis: 500, batch: 16,\n\
             \x20 maxRequestsPerMinute: 60, maxTokensPerMinute: 100000, costPerMillionTokens: 0.02}\n\
             rerank: {url: 'http://reranker:8080/rerank', model: cross, top: 20}",
        );
        assert_eq!(faults, [] as [String; 0]);
        let Embedding::Http(http) = embedding else { panic!("{embedding:?}") };
        assert_eq!((http.dimension, http.batch, http.query_timeout.as_millis()), (Some(256), 16, 500));
        assert_eq!((http.service.price_per_million, http.service.timeout.as_secs()), (20_000, 10));
        assert_eq!(http.service.tokens_per_minute.map(NonZeroU32::get), Some(100_000));
        let rerank = rerank.unwrap();
        assert_eq!((rerank.top, rerank.service.timeout.as_secs()), (20, RERANK_TIMEOUT_S));
        assert_eq!(parsed("{}"), (Embedding::default(), None, Vec::new()));
        assert_eq!(parsed("embedding: {provider: none}").0, Embedding::InProcess(Model::Off));
        let directory = parsed("embedding: {provider: model2vec, path: /models/a}").0;
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
            let (.., faults) = parsed(text);
            assert_eq!(faults.len(), parts.len(), "{text}: {faults:?}");
            for (fault, part) in faults.iter().zip(parts) {
                assert!(fault.contains(part), "{text}: {fault}");
            }
        }
        let here = "rerank: {url: 'http://[::1]:1/', model: m, apiKeyFile: /k}";
        assert_eq!(parsed(here).2, [] as [String; 0]);
    }
}
