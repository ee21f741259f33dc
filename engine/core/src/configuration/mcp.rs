//! `mcp`: the Model Context Protocol endpoint at `/mcp`.

use std::net::Ipv6Addr;

use serde_json::Value;

use super::key::Key;
use super::section::section;
use crate::limits::PROJECT_DEFAULT;
use crate::request;

/// Maximum number of hosts in the list. Each request is compared with all of them.
pub const ALLOWED_HOSTS_MAX: usize = 64;
/// Maximum length of a host name in DNS, bytes.
const HOST_BYTES_MAX: usize = 253;

section! {
    /// The Model Context Protocol endpoint at `/mcp`.
    "mcp" => Mcp, check check_combination {
        /// hosts allowed in requests, in addition to those of this machine and of the engine's Service: [MCP](mcp.md)
        "allowedHosts" allowed_hosts: Vec<String>, or Vec::<String>::new(), since "0.1.0"
            => Key::checked(are_hosts, must_be_hosts, || format!("{ALLOWED_HOSTS_MAX} names"))
                .field("spec.mcp.allowedHosts");
        /// serve the tools of the MCP server `memory`: [MCP](mcp.md)
        "serverMemoryTools" server_memory_tools: bool, or false, since "0.1.0"
            => Key::boolean().field("spec.mcp.serverMemoryTools");
        /// project that those tools use; only with `serverMemoryTools: true`
        "serverMemoryProject" server_memory_project: String, or PROJECT_DEFAULT.to_owned(), since "0.1.0"
            => Key::text().field("spec.mcp.serverMemoryProject");
    }
}

/// A project without the tools that use it is a mistake.
fn check_combination(mcp: &Mcp, faults: &mut Vec<String>) {
    let Some(project) = &mcp.server_memory_project else { return };
    if let Err(fault) = request::filter("mcp.serverMemoryProject", project) {
        faults.push(fault.to_string());
    } else if !mcp.server_memory_tools() {
        faults.push("mcp.serverMemoryProject needs mcp.serverMemoryTools: true".into());
    }
}

fn are_hosts(value: &Value) -> bool {
    value.as_array().is_some_and(|hosts| {
        hosts.len() <= ALLOWED_HOSTS_MAX && hosts.iter().all(|host| host.as_str().is_some_and(Mcp::is_host))
    })
}

fn must_be_hosts() -> String {
    format!("a list of at most {ALLOWED_HOSTS_MAX} names such as memory.example.org, with a port or without")
}

impl Mcp {
    /// Whether a text is a name or an address, with or without a port, and so can equal a `Host` header. A URL, a user
    /// name or a pattern cannot match any request.
    #[must_use]
    pub fn is_host(text: &str) -> bool {
        if let Some((address, behind)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let port = behind.strip_prefix(':');
            return address.parse::<Ipv6Addr>().is_ok() && (behind.is_empty() || port.is_some_and(is_port));
        }
        match text.split_once(':') {
            Some((name, port)) => is_name(name) && is_port(port),
            None => is_name(text),
        }
    }
}

fn is_name(text: &str) -> bool {
    (1..=HOST_BYTES_MAX).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn is_port(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit()) && text.parse::<u16>().is_ok()
}
