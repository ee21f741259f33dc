//! Access over HTTP: the allowed values of `Host` and `Origin`, and the HTTP service. The checks prevent DNS rebinding:
//! a web page in a browser must not reach an engine on the user's machine or cluster by making its own domain name
//! resolve to the engine's address.

use std::sync::Arc;

use engine_core::limits::BODY_BYTES_MAX;
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;

use super::Server;
use super::headers::authority;
use crate::engine::Engine;

/// What the operator adds to the name of an engine for its Services: that of the API, that which names its pod, that of
/// its readers, and that of a canary.
const SERVICE_SUFFIXES: [&str; 4] = ["", "-headless", "-readers", "-canary"];
/// Names of the local machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Allowed hosts of requests to `/mcp` and to the admin port, and the project of the tools of the MCP server `memory`,
/// if they are enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    hosts: Vec<String>,
    server_memory: Option<Arc<str>>,
}

impl Access {
    /// Allows the names of the local machine, the engine's Services in its cluster (`engine` is `namespace/name`, or
    /// empty), and the hosts in `more`.
    pub(crate) fn new(engine: &str, more: &[String], server_memory: Option<&str>) -> Access {
        let mut hosts: Vec<String> = LOOPBACK.map(str::to_owned).to_vec();
        if let Some((namespace, name)) = engine.split_once('/') {
            for service in SERVICE_SUFFIXES.map(|suffix| format!("{name}{suffix}")) {
                for domain in ["", ".svc", ".svc.cluster.local"] {
                    hosts.push(format!("{service}.{namespace}{domain}"));
                }
                hosts.push(service);
            }
        }
        hosts.extend(more.iter().map(|host| authority(host)));
        Access { hosts, server_memory: server_memory.map(Arc::from) }
    }

    /// Whether a host with an optional port, as a request names it, is one of the allowed ones. An allowed host without
    /// a port allows every port.
    pub(crate) fn allows(&self, host: &str) -> bool {
        let host = authority(host);
        let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let name = name.map_or(host.as_str(), |(name, _)| name);
        self.hosts.iter().any(|allowed| *allowed == host || allowed == name)
    }

    /// Creates the HTTP transport. It keeps no sessions, so every response is one JSON object and a restart loses
    /// nothing. It checks `Host` and `Origin`, and limits the size of a body like the rest of the API.
    pub(crate) fn service(&self, engine: Arc<Engine>) -> StreamableHttpService<Server, NeverSessionManager> {
        let origins = self.hosts.iter().flat_map(|host| {
            // An entry with a port allows only that port; an entry without a port allows every port.
            let ported = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let port = if ported { "" } else { ":*" };
            ["http", "https"].map(|scheme| format!("{scheme}://{host}{port}"))
        });
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_allowed_hosts(self.hosts.clone())
            .with_allowed_origins(origins)
            .enforce_origin_validation()
            .with_max_request_body_bytes(BODY_BYTES_MAX);
        let server_memory = self.server_memory.clone();
        StreamableHttpService::new(
            move || Ok(Server::of_requests(Arc::clone(&engine), server_memory.clone())),
            Arc::new(NeverSessionManager::default()),
            config,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_answers_to_its_own_names() {
        let access = Access::new("team-a/notes", &["Memory.Example.org.".to_owned()], None);
        let expected = [
            "localhost",
            "127.0.0.1",
            "[::1]",
            "notes.team-a",
            "notes.team-a.svc",
            "notes.team-a.svc.cluster.local",
            "notes",
            "notes-headless.team-a",
            "notes-headless.team-a.svc",
            "notes-headless.team-a.svc.cluster.local",
            "notes-headless",
            "notes-readers.team-a",
            "notes-readers.team-a.svc",
            "notes-readers.team-a.svc.cluster.local",
            "notes-readers",
            "notes-canary.team-a",
            "notes-canary.team-a.svc",
            "notes-canary.team-a.svc.cluster.local",
            "notes-canary",
            "memory.example.org",
        ];
        assert_eq!(access.hosts, expected);
        assert_eq!(Access::new("", &[], None).hosts, LOOPBACK);
        let ported = Access::new("", &["proxy.example.org:8443".to_owned()], None);
        for (host, allowed) in [
            ("LOCALHOST.:1", true),
            ("[::1]:8081", true),
            ("proxy.example.org:8443", true),
            ("proxy.example.org", false),
            ("localhost.example.org", false),
            ("localhost:x", false),
            ("", false),
        ] {
            assert_eq!(ported.allows(host), allowed, "{host}");
        }
    }
}
