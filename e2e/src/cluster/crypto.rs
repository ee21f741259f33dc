//! The TLS provider of all clients in this process.

/// Installs the TLS provider for all clients in this process. A second call finds the same provider installed.
pub(super) fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
