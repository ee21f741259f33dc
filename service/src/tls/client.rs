//! A client that presents the certificate of a directory.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::version::TLS13;

use super::identity::{Identity, TlsError};
use super::provider;

/// The configuration of a client that presents the certificate of a directory, and trusts the authorities in it.
///
/// # Errors
/// The files cannot be read or used.
pub fn client_config(directory: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let Identity { chain, key, authorities, .. } = Identity::read(directory)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(authorities)
        .with_client_auth_cert(chain, key)?;
    Ok(Arc::new(config))
}
