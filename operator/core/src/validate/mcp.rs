//! Validates `spec.mcp`: the hosts, and the project of the tools of the MCP server `memory`.

use crds::Mcp;
use engine_core::configuration::{self, ALLOWED_HOSTS_MAX};
use engine_core::request;

use super::fault::Fault;

pub(super) fn check_mcp(mcp: &Mcp, faults: &mut Vec<Fault>) {
    let Mcp { allowed_hosts, server_memory_tools, server_memory_project } = mcp;
    if allowed_hosts.len() > ALLOWED_HOSTS_MAX {
        faults.push(Fault::Hosts(allowed_hosts.len()));
    }
    let strange = allowed_hosts.iter().enumerate().filter(|(_, host)| !is_host(host));
    faults.extend(strange.map(|(index, _)| Fault::Host(index)));
    let Some(project) = server_memory_project else { return };
    if let Err(refused) = request::filter("spec.mcp.serverMemoryProject", project) {
        faults.push(Fault::Project(refused));
    }
    if !server_memory_tools {
        faults.push(Fault::Needs {
            field: "spec.mcp.serverMemoryProject",
            needed: "spec.mcp.serverMemoryTools: true",
        });
    }
}

/// Whether the engine accepts `text` as a host, and the first and last characters of the name match the pattern in the
/// CRD.
fn is_host(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    let is_plain = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
    let plain = is_plain(name.chars().next()) && is_plain(name.chars().next_back());
    configuration::Mcp::is_host(text) && (text.starts_with('[') || plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_and_nothing_else() {
        for host in [
            "memory.example.org",
            "proxy.example.org:8443",
            "10.0.0.1",
            "a_b",
            "[fd00::1]",
            "[fd00::1]:65535",
        ] {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "",
            "*",
            "*.example.org",
            "http://a.b",
            "a.b/mcp",
            "u@a.b",
            ":1",
            "a:",
            "a:65536",
            "a:+1",
            "a.",
            "-a",
            "[zz]",
            "[fd00::1",
            "[fd00::1]x",
            "fd00::1",
            "ä.example",
        ] {
            assert!(!is_host(host), "{host}");
        }
        assert!(!is_host(&"a".repeat(254)));
    }
}
