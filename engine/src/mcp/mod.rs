//! The Model Context Protocol: the operations as tools, over HTTP on the clients' port and over stdio. Framing,
//! versions and sessions are the library's; here are the tools, and who may connect.

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
pub(crate) use headers::{Form, settle};
pub(crate) use lines::BYTE_ORDER_MARK;
pub(crate) use server::Server;
pub(crate) use stdio::{McpArgs, mcp};
pub(crate) use unreadable::{INVALID_REQUEST, Unreadable, check, error};
