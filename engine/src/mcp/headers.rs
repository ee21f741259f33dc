//! Normalises request headers to the forms that the library accepts: the media types in `Accept`, and the spellings of
//! a host name or address in `Host` and `Origin`.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue};

/// Form in which the client accepts a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON object.
    Json,
    /// The same JSON object as the only event of an event stream.
    Events,
}

/// Normalises the headers. Returns the form of the response; none if the client accepts neither media type.
pub(crate) fn settle(headers: &mut HeaderMap) -> Option<Form> {
    let form = accepted(headers)?;
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, plain) in [(HOST, authority as fn(&str) -> String), (ORIGIN, origin)] {
        let value = headers.get(&name).and_then(|value| value.to_str().ok()).map(plain);
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    Some(form)
}

/// Returns the form of the response. JSON is the default if `Accept` is absent or allows both.
fn accepted(headers: &HeaderMap) -> Option<Form> {
    let said: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges: Vec<(String, bool)> =
        said.iter().flat_map(|value| value.split(',')).filter_map(range).collect();
    if ranges.is_empty() {
        return Some(Form::Json);
    }
    // An exact media type takes precedence over wildcards.
    let accepts = |names: [&str; 3]| {
        let found = names.iter().find_map(|name| ranges.iter().find(|(range, _)| range == name));
        found.is_some_and(|(_, wanted)| *wanted)
    };
    if accepts(["application/json", "application/*", "*/*"]) {
        Some(Form::Json)
    } else {
        accepts(["text/event-stream", "text/*", "*/*"]).then_some(Form::Events)
    }
}

/// Parses a media range. Returns its name and whether it is acceptable; a weight of 0 means that it is not.
fn range(text: &str) -> Option<(String, bool)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let weight = parts.find_map(|part| {
        let (name, weight) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| weight.trim().parse::<f32>().ok())?
    });
    Some((name, weight.is_none_or(|weight| weight > 0.0)))
}

/// Normalises a host with an optional port: lower case, no trailing full stop, and the canonical form of an IPv6
/// address. An IPv4-mapped address becomes an IPv4 address.
pub(crate) fn authority(text: &str) -> String {
    let text = text.trim();
    // A colon is either inside brackets (IPv6) or precedes the port.
    let end = text.rfind(']').map_or_else(|| text.find(':').unwrap_or(text.len()), |end| end + 1);
    let (host, port) = text.split_at(end);
    let port = if port == ":" { "" } else { port };
    let host = host.strip_suffix('.').filter(|host| !host.is_empty()).unwrap_or(host).to_ascii_lowercase();
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = match inner.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
        Some(address) => match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        },
        None => host,
    };
    host + port
}

fn origin(text: &str) -> String {
    match text.trim().split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{}", authority(host)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &[&str]) -> Option<Form> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        accepted(&headers)
    }

    #[test]
    fn whoever_accepts_one_of_the_two_types_is_served() {
        let json: [&[&str]; 12] = [
            &[],
            &[""],
            &["*/*"],
            &["application/json"],
            &["Application/JSON; charset=utf-8"],
            &["application/*"],
            &["application/json, text/event-stream"],
            &["text/event-stream", "application/json"],
            &["text/event-stream, application/json;q=0.1"],
            &["text/html, */*;q=0.8"],
            &["text/html, image/gif, */*; q=.2"],
            &["text/event-stream, */*"],
        ];
        for accept in json {
            assert_eq!(form(accept), Some(Form::Json), "{accept:?}");
        }
        let events: [&[&str]; 4] = [
            &["text/event-stream"],
            &["TEXT/*"],
            &["application/json;q=0, text/event-stream"],
            &["*/*, application/json;q=0.0"],
        ];
        for accept in events {
            assert_eq!(form(accept), Some(Form::Events), "{accept:?}");
        }
        let none: [&[&str]; 4] =
            [&["text/html"], &["text/plain, image/*"], &["*/*;q=0"], &["application/json;q=0"]];
        for accept in none {
            assert_eq!(form(accept), None, "{accept:?}");
        }
    }

    #[test]
    fn one_host_is_one_host_however_it_is_written() {
        for (written, plain) in [
            ("localhost", "localhost"),
            ("localhost.", "localhost"),
            ("LocalHost.:8080", "localhost:8080"),
            ("localhost:", "localhost"),
            ("notes.team-a.svc.cluster.local.", "notes.team-a.svc.cluster.local"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]:80"),
            ("[0:0:0:0:0:0:0:1]:80", "[::1]:80"),
            ("[0000::0001]", "[::1]"),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
            ("[::FFFF:7f00:1]", "127.0.0.1"),
            ("[FD00::A]", "[fd00::a]"),
            ("localhost..", "localhost."),
            (".", "."),
            ("", ""),
            ("[nothing]", "[nothing]"),
        ] {
            assert_eq!(authority(written), plain);
        }
        assert_eq!(origin("http://localhost.:80"), "http://localhost:80");
        assert_eq!(origin("null"), "null");
    }
}
