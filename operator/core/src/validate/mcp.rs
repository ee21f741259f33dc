//! What agents find at `/mcp`: hosts, and the project of the tools of the MCP server `memory`.

use std::net::Ipv6Addr;

use crds::Mcp;
use engine_core::request;

use super::Fault;

/// Most hosts the engine takes: it compares each request with all of them.
const ALLOWED_HOSTS_MAX: usize = 64;
/// Longest name of a host that DNS has, bytes.
const HOST_BYTES_MAX: usize = 253;

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

/// A name or an address, with a port or without: what a `Host` header can be equal to. Whatever passes here the engine
/// takes too; it would not start with a host it cannot read.
fn is_host(text: &str) -> bool {
    if let Some((address, behind)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = behind.strip_prefix(':');
        return address.parse::<Ipv6Addr>().is_ok() && (behind.is_empty() || port.is_some_and(is_port));
    }
    match text.split_once(':') {
        Some((name, port)) => is_name(name) && is_port(port),
        None => is_name(text),
    }
}

fn is_name(text: &str) -> bool {
    let ends = |end: Option<char>| end.is_some_and(|end| end.is_ascii_alphanumeric());
    text.len() <= HOST_BYTES_MAX
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn is_port(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit()) && text.parse::<u16>().is_ok()
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
        assert!(!is_host(&"a".repeat(HOST_BYTES_MAX + 1)));
    }
}
