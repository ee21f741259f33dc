//! `engine`: identity of the engine.

use super::key::Key;
use super::section::section;

section! {
    /// Identity of the engine.
    "engine" => Identity {
        /// namespace of the engine in logs and metrics, and in the host names of its Service for [MCP](mcp.md)
        "namespace" namespace: String, since "0.1.0" => Key::text().field_note("the resource's namespace");
        /// name of the engine in the same places
        "name" name: String, since "0.1.0" => Key::text().field_note("the resource's name");
    }
}
