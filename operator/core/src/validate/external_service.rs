//! Validates the services outside of the engine: `spec.embedding.http` and `spec.rerank`.

use std::net::Ipv6Addr;

use crds::{Embedding, EmbeddingProvider, KeyReference, Rerank};
use engine_core::configuration::{Address, PRICE_MAX};

use super::fault::Fault;

/// The fields that both services have.
struct Service<'a> {
    /// Path of the section.
    section: &'static str,
    url: &'a str,
    model: &'a str,
    key: Option<&'a KeyReference>,
    price: Option<f64>,
}

pub(super) fn check_embedding(embedding: &Embedding, faults: &mut Vec<Fault>) {
    let (section, provider) = ("spec.embedding.http", "spec.embedding.provider: http");
    match (embedding.provider, &embedding.http) {
        (EmbeddingProvider::Http, Some(http)) => {
            let (url, model) = (&http.url, &http.model);
            let (key, price) = (http.key_secret_ref.as_ref(), http.cost_per_million_tokens);
            check(&Service { section, url, model, key, price }, faults);
        }
        (EmbeddingProvider::Http, None) => faults.push(Fault::Needs { field: provider, needed: section }),
        (_, Some(_)) => faults.push(Fault::Needs { field: section, needed: provider }),
        (_, None) => {}
    }
}

pub(super) fn check_rerank(rerank: &Rerank, faults: &mut Vec<Fault>) {
    let (url, model) = (&rerank.url, &rerank.model);
    let (key, price) = (rerank.key_secret_ref.as_ref(), rerank.cost_per_million_tokens);
    check(&Service { section: "spec.rerank", url, model, key, price }, faults);
}

fn check(service: &Service<'_>, faults: &mut Vec<Fault>) {
    let section = service.section;
    match Address::of(service.url).filter(|address| is_plain(service.url, address.host)) {
        None => faults.push(Fault::Url(section)),
        Some(address) if service.key.is_some() && !address.is_encrypted => {
            faults.push(Fault::KeyUnencrypted(section));
        }
        Some(_) => {}
    }
    if service.model.is_empty() || service.model.chars().any(char::is_control) {
        faults.push(Fault::Model(section));
    }
    if !service.price.is_none_or(|price| (0.0..=PRICE_MAX).contains(&price)) {
        faults.push(Fault::Price(section));
    }
    if !service.key.is_none_or(|reference| is_reference(&reference.name, &reference.key)) {
        faults.push(Fault::KeyReference(section));
    }
}

/// Whether the host is a name or an address, and the URL has only characters that the engine's parser accepts.
fn is_plain(url: &str, host: &str) -> bool {
    let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    let is_path = |c: char| c.is_ascii_alphanumeric() || "._~:/?@!$&'()*+,;=%-".contains(c);
    let is_host = if rest.starts_with('[') { host.parse::<Ipv6Addr>().is_ok() } else { is_name };
    is_host && path.chars().all(is_path) && !url.contains('#')
}

/// Whether a Secret can have this name, and this key.
pub(super) fn is_reference(name: &str, key: &str) -> bool {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.chars().all(is_name) && !key.is_empty() && key.chars().all(is_key)
}

#[cfg(test)]
mod tests {
    use engine_core::configuration::{self, Author};
    use serde_json::json;

    use super::*;

    fn is_url(url: &str) -> bool {
        let mut faults = Vec::new();
        let rerank = Rerank { url: url.into(), model: "m".into(), ..Rerank::default() };
        check_rerank(&rerank, &mut faults);
        faults.is_empty()
    }

    #[test]
    fn a_url_is_complete_and_has_no_password() {
        for url in
            ["https://a", "http://a.b:8080/v1/rerank", "https://[fd00::1]:1/x?y=%20", "http://10.0.0.1/"]
        {
            assert!(is_url(url), "{url}");
            let file = json!({"rerank": {"url": url, "model": "m"}});
            assert!(configuration::read(&file, Author::Person).is_ok(), "the engine refuses {url}");
        }
        for url in [
            "",
            "a",
            "ftp://a/",
            "https://",
            "https://u:p@a/",
            "https://u@a/",
            "http://a b/",
            "http://a/ b",
            "http://a:0/",
            "http://a:65536/",
            "http://a:/",
            "http://[zz]/",
            "http://a/#b",
            "http://ä/",
            "http://a/\"",
        ] {
            assert!(!is_url(url), "{url}");
        }
    }
}
