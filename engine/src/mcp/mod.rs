//! The Model Context Protocol (MCP): the engine's operations as tools, over HTTP on the API port and over stdio. The
//! library `rmcp` handles framing, protocol versions and sessions; this module defines the tools and controls access.
//!
//! ```text
//! server       the MCP server: its metadata, the list of tools, the dispatch of calls
//! tool         the type of a tool: description, schemas, annotations, and how answers are written
//! tools        the tools, one file each
//! schema       JSON Schemas of arguments and answers
//! access       names of the engine, checks of `Host` and `Origin`, and the HTTP service
//! headers      normalises `Accept`, `Content-Type`, `Host` and `Origin`
//! stdio        the command `memory-engine mcp`
//! lines        the stdio transport: one message per line
//! unreadable   error answers for messages that cannot be parsed
//! forward      forwards calls to an engine in another process
//! ```

mod access;
mod forward;
mod headers;
mod lines;
mod schema;
mod server;
mod stdio;
mod tool;
mod tools;
mod unreadable;

pub(crate) use access::Access;
pub(crate) use headers::{Form, authority, settle};
pub(crate) use lines::BYTE_ORDER_MARK;
pub(crate) use server::Server;
pub(crate) use stdio::{McpArgs, mcp};
pub(crate) use unreadable::{INVALID_REQUEST, Unreadable, check, error};
