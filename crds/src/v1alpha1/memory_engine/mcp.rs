//! The Model Context Protocol endpoint at `/mcp`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Model Context Protocol endpoint at `/mcp`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mcp {
    /// Hosts allowed in the `Host` and `Origin` headers of requests to `/mcp`, for example the names of an ingress or a
    /// proxy. The names of the engine's Service are always allowed. Each item is a name or an IP address (IPv6 in
    /// brackets); without a port it allows every port, with a port it allows only that port: `[memory.example.org,
    /// "proxy.example.org:8443"]`. URLs and patterns are not accepted. At most 64. Defaults to none.
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

    /// Serve the nine tools of the MCP server `memory` (`create_entities`, `search_nodes`, ...) in addition to the
    /// engine's own, for clients and prompts that use them.
    #[serde(default)]
    pub server_memory_tools: bool,

    /// Project whose graph those tools read and write, 1 to 64 characters. Requires `serverMemoryTools: true`. Defaults
    /// to `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub server_memory_project: Option<String>,
}
