//! TLS 1.3 for both programs: an identity is read from a directory, a server swaps it without a restart, and a client
//! presents one.

mod client;
mod identity;
mod server;
mod socket;

pub use client::client_config;
pub use identity::{AUTHORITIES_FILE, CERTIFICATE_FILE, Identity, KEY_FILE, Served, TlsError, certificates};
pub use server::{Clients, HANDSHAKE_TIMEOUT, ServerTls};
pub use socket::Socket;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The cryptography that both programs use.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
