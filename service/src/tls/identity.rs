//! A certificate with its key, and the authorities that are trusted, as files in one directory.

use std::io;
use std::path::{Path, PathBuf};

use engine_core::certificate::Certificate;
use engine_core::digest::Hash;
use engine_core::file_mode::ModeFault;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::regular_file;
use crate::secret_file::{self, Exposed};

/// File with the certificate and the intermediate ones, PEM: the name of the key in a Secret of type kubernetes.io/tls.
pub const CERTIFICATE_FILE: &str = "tls.crt";
/// File with the private key, PEM.
pub const KEY_FILE: &str = "tls.key";
/// File with the trusted authorities, PEM.
pub const AUTHORITIES_FILE: &str = "ca.crt";

/// Maximum size of one of these files, bytes: a chain and a bundle have a few certificates of 2 KiB.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// A kubelet replaces a directory by swapping this symbolic link. Files that are read below its target belong together.
const KUBELET_LINK: &str = "..data";

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file contains no certificate, or something that is none.
    #[error("{0:?} contains no valid certificate in PEM")]
    Certificate(PathBuf),
    /// The file contains no private key.
    #[error("{0:?} contains no private key in PEM")]
    Key(PathBuf),
    /// The library refuses the certificate or the key.
    #[error("the certificate cannot be used: {0}")]
    Refused(#[from] rustls::Error),
    /// The authorities cannot verify clients.
    #[error("the authorities cannot verify clients: {0}")]
    Authorities(#[from] rustls::client::VerifierBuilderError),
}

/// A certificate with its key, and the authorities that are trusted.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, then the intermediate ones.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the first certificate. Its `Debug` form shows no secret.
    pub key: PrivateKeyDer<'static>,
    /// The trusted authorities; empty if the directory has no such file.
    pub authorities: RootCertStore,
    /// What of it is shown.
    pub served: Served,
    /// SHA-256 of all files, to find out whether one has changed.
    pub files_sha256: Hash,
    /// Why somebody else can read or change the key; none if nobody can.
    pub key_exposed: Option<ModeFault>,
}

/// What a port serves, for a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Serial number of the certificate, lower-case hexadecimal digits.
    pub serial: String,
    /// SHA-256 of the certificate.
    pub sha256: Hash,
    /// First moment at which the certificate is valid.
    pub not_before: Timestamp,
    /// Last moment at which the certificate is valid.
    pub not_after: Timestamp,
    /// SHA-256 of the file with the trusted authorities; none without the file.
    pub authorities_sha256: Option<Hash>,
}

impl Identity {
    /// Reads the three files of a directory. The file with the authorities may be missing.
    ///
    /// # Errors
    /// A file cannot be read, or does not contain what it has to, or the key is exposed and such a key is refused.
    pub fn read(directory: &Path, exposed: Exposed) -> Result<Identity, TlsError> {
        let link = directory.join(KUBELET_LINK);
        let place = std::fs::canonicalize(&link).unwrap_or_else(|_| directory.to_owned());
        let chain_file = place.join(CERTIFICATE_FILE);
        let chain_text = bounded(&chain_file)?;
        let chain = certificates(&chain_text);
        let chain =
            chain.filter(|chain| !chain.is_empty()).ok_or(TlsError::Certificate(chain_file.clone()))?;
        let first = chain.first().and_then(|der| Certificate::of_der(der).ok());
        let first = first.ok_or(TlsError::Certificate(chain_file))?;
        let key_file = place.join(KEY_FILE);
        let (key_text, key_exposed) = secret_file::read(&key_file, FILE_BYTES_MAX, exposed)
            .map_err(|source| TlsError::Read { path: key_file.clone(), source })?;
        let key = PrivateKeyDer::from_pem_slice(&key_text).map_err(|_| TlsError::Key(key_file))?;
        let (authorities, authorities_sha256) = authorities(&place.join(AUTHORITIES_FILE))?;
        let served = Served {
            serial: first.serial,
            sha256: first.sha256,
            not_before: first.not_before,
            not_after: first.not_after,
            authorities_sha256,
        };
        let bundle = served.authorities_sha256.map(|hash| hash.to_string()).unwrap_or_default();
        let files = [Hash::of(&chain_text).to_string(), Hash::of(&key_text).to_string(), bundle].concat();
        Ok(Identity {
            chain,
            key,
            authorities,
            served,
            files_sha256: Hash::of(files.as_bytes()),
            key_exposed,
        })
    }
}

/// The authorities in a file, which has to exist, and its SHA-256.
///
/// # Errors
/// The file cannot be read, or does not contain certificates only.
pub(super) fn authorities_of_clients(file: &Path) -> Result<(RootCertStore, Hash), TlsError> {
    match authorities(file)? {
        (store, Some(sha256)) => Ok((store, sha256)),
        (_, None) => Err(TlsError::Certificate(file.to_owned())),
    }
}

/// Every certificate of a text in PEM; none if a part of it is not a certificate.
#[must_use]
pub fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()
}

fn authorities(file: &Path) -> Result<(RootCertStore, Option<Hash>), TlsError> {
    let mut store = RootCertStore::empty();
    let text = match bounded(file) {
        Err(TlsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok((store, None));
        }
        text => text?,
    };
    let found = certificates(&text).filter(|found| !found.is_empty());
    for authority in found.ok_or_else(|| TlsError::Certificate(file.to_owned()))? {
        store.add(authority).map_err(|_| TlsError::Certificate(file.to_owned()))?;
    }
    Ok((store, Some(Hash::of(&text))))
}

fn bounded(path: &Path) -> Result<Vec<u8>, TlsError> {
    regular_file::read(path, FILE_BYTES_MAX)
        .map_err(|source| TlsError::Read { path: path.to_owned(), source })
}
