//! The TLS of a port. The whole configuration is swapped when the files change: every later handshake uses the new one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use engine_core::digest::Hash;
use engine_core::file_mode::ModeFault;
use rustls::server::{ClientCertVerifierBuilder, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::identity::{Identity, Served, TlsError, authorities_of_clients};
use super::provider;
use super::socket::Socket;
use crate::secret_file::Exposed;

/// Maximum time of a handshake: two round trips and two signatures.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether clients have to present a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// A client presents no certificate.
    Anonymous,
    /// A client needs a certificate of one of the trusted authorities.
    Verified,
    /// A client may present a certificate, and then needs one of an authority in this file.
    Optional(PathBuf),
}

/// The TLS of one port.
#[derive(Debug)]
pub struct ServerTls {
    directory: PathBuf,
    clients: Clients,
    exposed: Exposed,
    current: RwLock<Current>,
    /// The authorities that the current configuration trusts. Connections that were accepted under others have to end.
    trust: watch::Sender<Option<Hash>>,
}

#[derive(Debug, Clone)]
struct Current {
    config: Arc<ServerConfig>,
    /// Kept, because the authorities of optional clients change without it.
    identity: Arc<Identity>,
    served: Served,
    files_sha256: Hash,
    /// SHA-256 of the authorities that vouch for clients; none if clients are anonymous.
    trust: Option<Hash>,
    /// Why the newest files are not in force.
    fault: Option<String>,
    /// Why somebody else can read or change the key in force.
    key_exposed: Option<ModeFault>,
}

impl ServerTls {
    /// Reads the identity of a port from a directory.
    ///
    /// # Errors
    /// The files cannot be read or used.
    pub fn open(directory: &Path, clients: Clients, exposed: Exposed) -> Result<ServerTls, TlsError> {
        let identity = Arc::new(Identity::read(directory, exposed)?);
        let (current, fault) = configure(identity, &clients)?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let trust = watch::Sender::new(current.trust);
        let current = RwLock::new(current);
        Ok(ServerTls { directory: directory.to_owned(), clients, exposed, current, trust })
    }

    /// Reads the files again. If those of the port cannot be used, those before stay in force. If those of optional
    /// clients cannot be used, no client is trusted: an authority that was taken away must not stay. Returns whether
    /// something changed.
    ///
    /// # Errors
    /// The files cannot be read or used.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let read = Identity::read(&self.directory, self.exposed).map(Arc::new);
        let loaded = read.and_then(|identity| configure(identity, &self.clients));
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let (mut loaded, fault) = match loaded {
            Ok(loaded) => loaded,
            Err(fault) => {
                current.fault = Some(fault.to_string());
                if !matches!(self.clients, Clients::Optional(_)) {
                    return Err(fault);
                }
                let (before, _) = configure(Arc::clone(&current.identity), &self.clients)?;
                (before, Some(fault))
            }
        };
        loaded.fault = fault.as_ref().map(ToString::to_string);
        // Intermediate certificates may change without the certificate.
        let changed = current.files_sha256 != loaded.files_sha256;
        let authorities = loaded.trust;
        (current.fault, current.key_exposed) = (loaded.fault.clone(), loaded.key_exposed);
        if changed {
            *current = loaded;
        }
        drop(current);
        self.trust.send_if_modified(|trust| std::mem::replace(trust, authorities) != *trust);
        fault.map_or(Ok(changed), Err)
    }

    /// What the port serves, and why it is not what the files contain now.
    #[must_use]
    pub fn served(&self) -> (Served, Option<String>) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (current.served.clone(), current.fault.clone())
    }

    /// Why somebody else can read or change the key in force; none if nobody can.
    #[must_use]
    pub fn key_exposed(&self) -> Option<ModeFault> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).key_exposed
    }

    /// Completes the handshake of a connection.
    ///
    /// # Errors
    /// The client does not complete it in time, or has no right to connect.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Socket> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config);
        let handshake = TlsAcceptor::from(config).accept(stream);
        let accepted = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await;
        let accepted = accepted.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Socket::Tls(Box::new(accepted)))
    }

    /// Watches the authorities that vouch for clients; none if clients are anonymous.
    #[must_use]
    pub fn trust(&self) -> Option<watch::Receiver<Option<Hash>>> {
        (self.clients != Clients::Anonymous).then(|| self.trust.subscribe())
    }
}

/// The configuration of an identity, and why the authorities of optional clients cannot be used.
fn configure(identity: Arc<Identity>, clients: &Clients) -> Result<(Current, Option<TlsError>), TlsError> {
    let Identity { chain, key, authorities, served, files_sha256, key_exposed } = &*identity;
    let (mut files_sha256, mut trust, mut fault) = (*files_sha256, None, None);
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let builder = match clients {
        Clients::Anonymous => builder.with_no_client_auth(),
        Clients::Verified => {
            trust = served.authorities_sha256;
            builder.with_client_cert_verifier(verifier(authorities.clone()).build()?)
        }
        Clients::Optional(file) => {
            let found = authorities_of_clients(file).and_then(|(authorities, sha256)| {
                Ok((verifier(authorities).allow_unauthenticated().build()?, sha256))
            });
            let sha256 = found.as_ref().map_or(Hash::ZERO, |(_, sha256)| *sha256);
            files_sha256 = Hash::of(format!("{files_sha256}{sha256}").as_bytes());
            trust = Some(sha256);
            match found {
                Ok((verifier, _)) => builder.with_client_cert_verifier(verifier),
                Err(unusable) => {
                    fault = Some(unusable);
                    builder.with_no_client_auth()
                }
            }
        }
    };
    let mut config = builder.with_single_cert(chain.clone(), key.clone_key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session would not look at the client's certificate again: a client whose authority was removed could
    // resume its sessions for a day.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let (served, key_exposed) = (served.clone(), *key_exposed);
    let config = Arc::new(config);
    Ok((Current { config, identity, served, files_sha256, trust, fault: None, key_exposed }, fault))
}

fn verifier(authorities: RootCertStore) -> ClientCertVerifierBuilder {
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider())
}
