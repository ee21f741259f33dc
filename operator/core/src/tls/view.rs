//! What was found in the Secrets of an engine's certificates.

use engine_core::{certificate::Certificate, digest::Hash};

/// The Secrets of the certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsView {
    /// Why a Secret could not be read.
    pub unread: Option<Unread>,
    /// The Secret of the authority.
    pub authority: Found<AuthorityView>,
    /// The Secret of the certificate.
    pub certificate: Found<CertificateView>,
}

/// Why a Secret could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Whether the operator has no permission.
    pub is_forbidden: bool,
    /// Description of the failure.
    pub text: String,
}

/// What was found in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Found<T> {
    /// There is no such Secret.
    #[default]
    Missing,
    /// The content cannot be used, for this reason.
    Broken(String),
    /// The content.
    Present(T),
}

impl<T> Found<T> {
    /// The content, if it can be used.
    pub fn present(&self) -> Option<&T> {
        match self {
            Self::Present(content) => Some(content),
            Self::Missing | Self::Broken(_) => None,
        }
    }
}

/// An authority whose key belongs to its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityView {
    /// The authority that signs.
    pub signing: Certificate,
    /// Authorities that are still trusted.
    pub retired: Vec<Certificate>,
    /// SHA-256 of the certificates of all of them, as pods get them.
    pub bundle_sha256: Hash,
}

/// A certificate whose key belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateView {
    /// The certificate of the ports.
    pub certificate: Certificate,
    /// Whether the authority that signs now has signed it.
    pub is_of_signing: bool,
    /// The certificates of the authorities in the same Secret, as PEM.
    pub bundle: String,
    /// SHA-256 of these authorities, as the Secret has them.
    pub bundle_sha256: Hash,
    /// Hashes of the certificates of these authorities.
    pub authorities: Vec<Hash>,
}
