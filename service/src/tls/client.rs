//! A client that presents the certificate of a directory.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::version::TLS13;

use crate::secret_file::Exposed;

use super::identity::{Identity, TlsError};
use super::provider;

/// The configuration of a client that presents the certificate of a directory, and trusts the authorities in it.
///
/// # Errors
/// The files cannot be read or used.
pub fn client_config(directory: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let Identity { chain, key, authorities, .. } = Identity::read(directory, Exposed::Reported)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(authorities)
        .with_client_auth_cert(chain, key)?;
    Ok(Arc::new(config))
}
