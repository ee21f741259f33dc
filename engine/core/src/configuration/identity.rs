//! `engine`: which engine it is.

use super::key::Key;
use super::section::section;

section! {
    /// Which engine it is.
    "engine" => Identity {
        /// names the engine in logs and metrics, and its Service among the hosts of [MCP](mcp.md)
        "namespace" namespace: String, since "0.1.0" => Key::text().field_note("the resource's namespace");
        /// names it likewise
        "name" name: String, since "0.1.0" => Key::text().field_note("the resource's name");
    }
}
