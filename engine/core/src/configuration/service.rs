//! Settings of services that compute vectors or rerank, shared by `embedding` and `rerank`.

use std::net::IpAddr;
use std::ops::Not;

/// Minimum requests and tokens per minute that can be configured. A quarter of them is reserved for searches.
pub const PER_MINUTE_MIN: u32 = 4;
/// Bounds of these keys.
pub(super) const PER_MINUTE: (u64, u64) = (PER_MINUTE_MIN as u64, u32::MAX as u64);
/// Default number of requests per minute.
pub(super) const REQUESTS_PER_MINUTE_DEFAULT: u32 = 600;
/// Maximum price of a million tokens.
pub const PRICE_MAX: f64 = 1e6;

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
        let Some(address) = Address::of(url) else {
            faults.push(address_fault(section));
            return;
        };
        // The API key must not be sent unencrypted over the network.
        if self.api_key_file.is_some() && !address.is_encrypted && !is_this_machine(address.host) {
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

/// The parts of a URL that decide where requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a> {
    /// Whether connections are encrypted.
    pub is_encrypted: bool,
    /// Host, without brackets.
    pub host: &'a str,
    /// Port, or the default of the scheme.
    pub port: u16,
}

impl Address<'_> {
    /// Whether the host is this machine: what is sent to it passes no network.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        is_this_machine(self.host)
    }

    /// The address in a URL; none if requests cannot be sent to the URL.
    #[must_use]
    pub fn of(url: &str) -> Option<Address<'_>> {
        let (scheme, rest) = url.split_once("://")?;
        let (is_encrypted, default) = match scheme {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.is_empty().not().then_some(port)),
            None => authority.find(':').map_or((authority, None), |at| {
                let (host, port) = authority.split_at(at);
                (host, Some(port))
            }),
        };
        let port = match port {
            Some(port) => port.strip_prefix(':')?.parse().ok().filter(|port| *port > 0)?,
            None => default,
        };
        let is_host = !authority.contains('@') && !host.is_empty();
        is_host.then_some(Address { is_encrypted, host, port })
    }
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
            assert_eq!(Address::of(url).map(|address| address.port), port, "{url}");
        }
    }
}
