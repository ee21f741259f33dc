//! The cluster's certificate authority and the identities it signs. Regenerated at every `up`.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::layout::{Layout, NODE_IP, NODE_NAME, SERVICE_IP_OF_API};

/// Subject of a certificate. Kubernetes reads the common name as the user and the organisation as the group.
struct Identity {
    file: &'static str,
    user: &'static str,
    group: Option<&'static str>,
    /// Subject alternative names: DNS names and addresses of the server.
    serves: &'static [&'static str],
}

const fn client(file: &'static str, user: &'static str, group: Option<&'static str>) -> Identity {
    Identity { file, user, group, serves: &[] }
}

/// The identities that also get a kubeconfig.
pub(crate) const CLIENTS: [&str; 7] =
    ["admin", "controller-manager", "scheduler", "proxy", "kubelet", "coredns", "csi"];

const IDENTITIES: [Identity; 9] = [
    Identity {
        file: "apiserver",
        user: "kube-apiserver",
        group: None,
        serves: &["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", "127.0.0.1"],
    },
    client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", Some("system:masters")),
    client("admin", "memoryengine-admin", Some("system:masters")),
    client("controller-manager", "system:kube-controller-manager", None),
    client("scheduler", "system:kube-scheduler", None),
    client("proxy", "system:kube-proxy", None),
    Identity {
        file: "kubelet",
        user: "system:node:node0",
        group: Some("system:nodes"),
        serves: &[NODE_NAME],
    },
    client("coredns", "system:coredns", None),
    client("csi", "system:csi", None),
];

/// Writes the authority, every identity and the service-account key pair to `pki/`.
///
/// # Errors
/// A key cannot be made or a file cannot be written.
pub(crate) fn write(layout: &Layout) -> Result<()> {
    let authority_key = KeyPair::generate()?;
    let params = authority_params();
    let certificate = params.self_signed(&authority_key)?;
    put(layout, "ca.crt", &certificate.pem())?;
    let issuer = Issuer::new(params, authority_key);
    for identity in &IDENTITIES {
        let key = KeyPair::generate()?;
        let signed = identity_params(identity)?.signed_by(&key, &issuer)?;
        put(layout, &format!("{}.crt", identity.file), &signed.pem())?;
        put(layout, &format!("{}.key", identity.file), &key.serialize_pem())?;
    }
    // Service-account tokens are signed with a bare key. The API server reads the public half from a separate file.
    let tokens = KeyPair::generate()?;
    put(layout, "service-account.key", &tokens.serialize_pem())?;
    put(layout, "service-account.pub", &tokens.public_key_pem())
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "memoryengine-local");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn identity_params(identity: &Identity) -> Result<CertificateParams> {
    let mut names: Vec<String> = identity.serves.iter().map(|&name| name.to_owned()).collect();
    if !names.is_empty() {
        names.push(IpAddr::from(NODE_IP).to_string());
    }
    if identity.file == "apiserver" {
        names.push(SERVICE_IP_OF_API.to_owned());
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, identity.user);
    if let Some(group) = identity.group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// Key files are readable by their owner only, and so is the `pki` folder.
fn put(layout: &Layout, file: &str, pem: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = layout.at("pki").join(file);
    fs::write(&path, pem).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
        .context("restricting the permissions of a key file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_an_identity() {
        for client in CLIENTS {
            assert!(IDENTITIES.iter().any(|identity| identity.file == client), "{client}");
        }
    }

    #[test]
    fn the_api_server_serves_where_it_is_reached() {
        let names = format!("{:?}", identity_params(&IDENTITIES[0]).unwrap().subject_alt_names);
        for place in ["127.0.0.1", "10.98.0.2", "10.96.0.1", "kubernetes.default.svc"] {
            assert!(names.contains(place), "{place} not in {names}");
        }
    }

    #[test]
    fn the_node_certificate_carries_the_node_name() {
        let kubelet = IDENTITIES.iter().find(|identity| identity.file == "kubelet").unwrap();
        assert_eq!(kubelet.user, format!("system:node:{NODE_NAME}"));
    }
}
