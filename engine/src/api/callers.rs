//! Which requests the admin port answers. A web page of another site must not reach it from a browser on the user's
//! machine or network: neither by making its own domain name resolve to the engine's address (DNS rebinding), nor by
//! sending a request to the engine from its own address (a cross-site request).
//!
//! An address as the host is always allowed: a kubelet, Prometheus and the operator use it, and no domain name can be
//! made to look like it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine_core::wire::ErrorCode;
use hyper::body::Body;

use super::body::is_json;
use crate::mcp::{Access, authority};
use crate::refusal::Refusal;

/// Header with which a browser says where a request comes from.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what a program of the platform or a person at the engine's own page would not send.
pub(super) async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let named = request.uri().authority().map(|authority| authority.as_str());
    let checked = check_caller(&access, request.method(), named, request.headers());
    match checked.and_then(|()| check_kind(request.headers(), !request.body().is_end_stream())) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Checks where a request comes from. `named` is the host in the request line, if there is one.
fn check_caller(
    access: &Access,
    method: &Method,
    named: Option<&str>,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let host = only(headers, &header::HOST).map_err(|()| foreign_host())?.ok_or_else(foreign_host)?;
    if [Some(host), named].into_iter().flatten().any(|host| !is_address(host) && !access.allows(host)) {
        return Err(foreign_host());
    }
    let origin = only(headers, &header::ORIGIN).map_err(|()| foreign_page())?;
    if origin.is_some_and(|origin| !is_same_origin(origin, host)) {
        return Err(foreign_page());
    }
    // A browser sends this header with requests that have no `Origin` too. A link on another page may lead to a report.
    let site = only(headers, &FETCH_SITE).map_err(|()| foreign_page())?;
    if !method.is_safe() && site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(foreign_page());
    }
    Ok(())
}

/// Checks the type of a body. A browser can send a form or a text to any site without asking, but not JSON.
fn check_kind(headers: &HeaderMap, has_body: bool) -> Result<(), Refusal> {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter().peekable();
    if has_body && (kinds.peek().is_none() || !kinds.all(is_json)) {
        return Err(Refusal::new(ErrorCode::UnsupportedMediaType, "a body must be application/json")
            .hint("send the header Content-Type: application/json"));
    }
    Ok(())
}

/// The value of a header that occurs at most once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

/// Whether a host is an address, with or without a port.
fn is_address(host: &str) -> bool {
    let host = authority(host);
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || is_port(port));
    }
    let end = host.find(':').unwrap_or(host.len());
    let (address, port) = host.split_at(end);
    address.parse::<Ipv4Addr>().is_ok() && (port.is_empty() || is_port(port))
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Whether a page of this origin was loaded from this host. The scheme may differ, because a proxy in front may speak
/// TLS.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, from)) = origin.split_once("://") else { return false };
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let plain = |host: &str| {
        let host = authority(host);
        host.strip_suffix(default).map(str::to_owned).unwrap_or(host)
    };
    plain(from) == plain(host)
}

fn foreign_host() -> Refusal {
    let rule = "the host is neither an address nor a name of this engine";
    Refusal::new(ErrorCode::Forbidden, rule).hint(
        "use the address, localhost or the name of the engine's Service, or add the name as mcp.allowedHosts",
    )
}

fn foreign_page() -> Refusal {
    Refusal::new(ErrorCode::Forbidden, "the request comes from a web page of another site")
        .hint("send it from a program, or from a page of this port")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let named = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(named).fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    }

    fn is_let_in(method: &Method, lines: &[(&'static str, &'static str)]) -> bool {
        let access = Access::new("team-a/notes", &["memory.example.org".to_owned()], None);
        check_caller(&access, method, None, &headers(lines)).is_ok()
    }

    #[test]
    fn the_host_is_an_address_or_a_name_of_the_engine() {
        for host in [
            "10.1.2.3:8081",
            "10.1.2.3",
            "[fd00::7]:8081",
            "[::ffff:10.1.2.3]:8081",
            "localhost:8081",
            "notes:8081",
            "notes-headless.team-a.svc:8081",
            "memory.example.org",
        ] {
            assert!(is_let_in(&Method::GET, &[("host", host)]), "{host}");
            assert!(is_let_in(&Method::POST, &[("host", host)]), "{host}");
        }
        for host in
            ["evil.example.org:8081", "10.1.2.3.example.org", "0x7f000001", "1.2.3:8081", "[fe80::1", ""]
        {
            assert!(!is_let_in(&Method::GET, &[("host", host)]), "{host}");
        }
        assert!(!is_let_in(&Method::GET, &[]), "no host");
        assert!(!is_let_in(&Method::GET, &[("host", "localhost"), ("host", "localhost")]), "two hosts");
        let access = Access::new("", &[], None);
        let local = headers(&[("host", "localhost")]);
        assert!(check_caller(&access, &Method::GET, Some("localhost:1"), &local).is_ok());
        assert!(check_caller(&access, &Method::GET, Some("evil.example.org"), &local).is_err());
    }

    #[test]
    fn a_page_is_of_the_same_origin() {
        for (origin, host, same) in [
            ("http://localhost:8081", "localhost:8081", true),
            ("http://localhost", "localhost:80", true),
            ("https://Memory.example.org", "memory.example.org.:443", true),
            ("https://memory.example.org", "memory.example.org", true),
            ("http://[::1]:8081", "[0:0::1]:8081", true),
            ("http://localhost:3000", "localhost:8081", false),
            ("http://localhost", "localhost:8081", false),
            ("http://127.0.0.1:8081", "localhost:8081", false),
            ("http://localhost:8081.example.org", "localhost:8081", false),
            ("null", "localhost:8081", false),
            ("localhost:8081", "localhost:8081", false),
            ("chrome-extension://localhost:8081", "localhost:8081", false),
        ] {
            assert_eq!(is_same_origin(origin, host), same, "{origin} {host}");
        }
    }

    #[test]
    fn a_browser_says_where_a_change_comes_from() {
        let host = ("host", "localhost:8081");
        for (site, changes) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false), ("?", false)]
        {
            assert_eq!(is_let_in(&Method::POST, &[host, ("sec-fetch-site", site)]), changes, "{site}");
            assert_eq!(is_let_in(&Method::PUT, &[host, ("sec-fetch-site", site)]), changes, "{site}");
            assert!(is_let_in(&Method::GET, &[host, ("sec-fetch-site", site)]), "a link: {site}");
        }
        let twice = [host, ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
        assert!(!is_let_in(&Method::POST, &twice));
    }

    #[test]
    fn a_body_is_json_and_says_so() {
        let kind =
            |lines: &[(&'static str, &'static str)], has_body| check_kind(&headers(lines), has_body).is_ok();
        assert!(kind(&[], false) && !kind(&[], true));
        assert!(kind(&[("content-type", "application/json")], true));
        assert!(kind(&[("content-type", "Application/JSON; charset=utf-8")], true));
        for other in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
        {
            assert!(!kind(&[("content-type", other)], true), "{other}");
        }
        assert!(!kind(&[("content-type", "application/json"), ("content-type", "text/plain")], true));
    }
}
