//! What agents find at `/mcp`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What agents find at `/mcp`, where the engine speaks the Model Context Protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mcp {
    /// Hosts that requests to `/mcp` may name in `Host` and `Origin`, beside those of the engine's Service, which always may:
    /// the names of an ingress or a proxy in front of it. A name or an IP address (version 6 in brackets), which allows every
    /// port, or with a port, which allows that port: `[memory.example.org, "proxy.example.org:8443"]`. No URL and no
    /// pattern. At most 64; left out, none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(
            length(min = 1, max = 259),
            regex(pattern = r"^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)(:([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$")
        ),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub allowed_hosts: Vec<String>,

    /// Serve the nine tools of the MCP server `memory` (`create_entities`, `search_nodes`, ...) beside the engine's own, for
    /// clients and prompts that know them.
    #[serde(default)]
    pub server_memory_tools: bool,

    /// Project whose graph those tools read and write, 1 to 64 characters, for example `default`. Only with
    /// `serverMemoryTools: true`; left out, `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub server_memory_project: Option<String>,
}
