//! Settings of services that compute vectors or rerank, shared by `embedding` and `rerank`.

use std::net::IpAddr;

/// Minimum requests and tokens per minute that can be configured. A quarter of them is reserved for searches.
pub const PER_MINUTE_MIN: u32 = 4;
/// Bounds of these keys.
pub(super) const PER_MINUTE: (u64, u64) = (PER_MINUTE_MIN as u64, u32::MAX as u64);
/// Default number of requests per minute.
pub(super) const REQUESTS_PER_MINUTE_DEFAULT: u32 = 600;
/// Maximum price of a million tokens.
pub(super) const PRICE_MAX: f64 = 1e6;

/// The settings of a service in a section.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// Name of the section.
    pub section: &'static str,
    /// URL that requests are sent to.
    pub url: Option<&'a str>,
    /// Name of the model in requests.
    pub model: Option<&'a str>,
    /// File with the API key that is sent with every request.
    pub api_key_file: Option<&'a str>,
    /// Timeout of a request, seconds.
    pub timeout_seconds: u64,
    /// Requests per minute.
    pub max_requests_per_minute: u32,
    /// Tokens per minute; no limit when absent.
    pub max_tokens_per_minute: Option<u32>,
    /// Price of a million tokens.
    pub cost_per_million_tokens: f64,
}

impl Service<'_> {
    /// Price of a million tokens in millionths, an integer, so that costs are added up exactly.
    #[must_use]
    pub fn price_per_million(&self) -> u64 {
        let price = self.cost_per_million_tokens.clamp(0.0, PRICE_MAX);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 10^12, by the line above"
        )]
        let millionths = (price * 1e6).round() as u64;
        millionths
    }

    /// Reports what is wrong with the settings.
    pub(super) fn check(&self, faults: &mut Vec<String>) {
        let section = self.section;
        for (key, value) in [("url", self.url), ("model", self.model)] {
            if value.is_none() || (key == "model" && value == Some("")) {
                faults.push(format!("{section}.{key} is missing"));
            }
        }
        let Some(url) = self.url else { return };
        let Some((scheme, host)) = scheme_and_host(url) else {
            faults.push(address_fault(section));
            return;
        };
        // The API key must not be sent unencrypted over the network.
        if self.api_key_file.is_some() && scheme == "http" && !is_this_machine(host) {
            faults.push(format!("{section}.url must be https:// where {section}.apiKeyFile is given"));
        }
    }
}

/// Describes what is wrong with a URL that requests cannot be sent to.
#[must_use]
pub fn address_fault(section: &str) -> String {
    format!(
        "{section}.url must be the complete URL of requests, http:// or https://, without user and password"
    )
}

/// The port of a URL that requests can be sent to; `None` if they cannot.
#[must_use]
pub fn address_port(url: &str) -> Option<u16> {
    let (scheme, _) = scheme_and_host(url)?;
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    // The colons inside of an IPv6 address are not followed by a port.
    let behind_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    match behind_host.split_once(':') {
        Some((_, port)) => port.parse().ok().filter(|port| *port > 0),
        None => Some(if scheme == "https" { 443 } else { 80 }),
    }
}

fn scheme_and_host(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let right = matches!(scheme, "http" | "https") && !authority.contains('@') && !host.is_empty();
    right.then_some((scheme, host))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_requests_has_a_port() {
        for (url, port) in [
            ("http://collector:4318/v1/traces", Some(4318)),
            ("https://collector.example.org/v1/traces", Some(443)),
            ("http://collector", Some(80)),
            ("http://[fd00::1]:4318/", Some(4318)),
            ("http://[fd00::1]/", Some(80)),
            ("http://a:0/", None),
            ("http://a:x/", None),
            ("http://a:70000/", None),
            ("http://user:password@a/", None),
            ("grpc://a:4317", None),
            ("collector:4318", None),
            ("", None),
        ] {
            assert_eq!(address_port(url), port, "{url}");
        }
    }
}
