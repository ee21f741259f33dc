//! Certificates for tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

const DAY: Duration = Duration::from_secs(86_400);

/// Name of the server in its certificate.
pub(crate) const SERVER: &str = "engine.test";

/// A certificate authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, PEM.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Parameters of a certificate that is valid for a day, for this usage.
pub(crate) fn params(name: &str, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + DAY).into();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params
}

/// Parameters of an authority.
pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name, ExtendedKeyUsagePurpose::Any);
    params.extended_key_usages.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        Authority(CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap())
    }

    /// An authority that this one has signed.
    pub(crate) fn below(&self, params: CertificateParams) -> Authority {
        Authority(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Leaf { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn server(&self) -> Leaf {
        self.issue(&params(SERVER, ExtendedKeyUsagePurpose::ServerAuth))
    }

    pub(crate) fn client(&self) -> Leaf {
        self.issue(&params("operator", ExtendedKeyUsagePurpose::ClientAuth))
    }

    /// Configuration of a client that trusts this authority, and presents a certificate if it has one.
    pub(crate) fn client_config(&self, leaf: Option<&Leaf>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(service::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match leaf {
            Some(leaf) => builder.with_client_auth_cert(leaf.chain(), leaf.key()).unwrap(),
            None => builder.with_no_client_auth(),
        })
    }
}

impl Leaf {
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes()).map(Result::unwrap).collect()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// Replaces the files of a directory at once, as a kubelet does: a symbolic link names the folder with the files.
pub(crate) fn mount(directory: &Path, leaf: &Leaf, authorities: Option<&str>) {
    let count = fs::read_dir(directory).map_or(0, Iterator::count);
    let name = format!("..{count}");
    let folder = directory.join(&name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("tls.crt"), &leaf.certificate).unwrap();
    fs::write(folder.join("tls.key"), &leaf.key).unwrap();
    fs::set_permissions(folder.join("tls.key"), fs::Permissions::from_mode(0o440)).unwrap();
    if let Some(authorities) = authorities {
        fs::write(folder.join("ca.crt"), authorities).unwrap();
    }
    let link = directory.join("..new");
    std::os::unix::fs::symlink(&name, &link).unwrap();
    fs::rename(link, directory.join("..data")).unwrap();
}
