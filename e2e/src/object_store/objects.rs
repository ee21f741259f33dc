//! The Kubernetes objects of the store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::images::OBJECT_STORE_IMAGE;

/// Name of all objects of the store.
pub(super) const NAME: &str = "store";
/// Label of the store's pod, by which policies select it.
pub const POD_LABEL: (&str, &str) = ("app.kubernetes.io/name", "object-store");
/// Port of the pod and of its Service: S3 over TLS.
pub const PORT: u16 = 9000;
/// Folder of the buckets in the pod.
pub(super) const DATA: &str = "/data/objects";
/// Folder of older versions, for buckets that keep them.
const VERSIONS: &str = "/data/versions";
/// Bytes of a random credential: nobody guesses it.
const CREDENTIAL_BYTES: usize = 20;

/// Credentials, certificate and authority. The authority's own key is not kept.
pub(super) fn access_secret(namespace: &str) -> Result<Secret> {
    let (authority, certificate, key) = certificate(namespace)?;
    let entries = [
        ("ROOT_ACCESS_KEY", random()?),
        ("ROOT_SECRET_KEY", random()?),
        ("ca.crt", authority),
        ("tls.crt", certificate),
        ("tls.key", key),
    ];
    let entries = entries.map(|(name, value)| (name.to_owned(), value));
    Ok(Secret {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        string_data: Some(BTreeMap::from(entries)),
        ..Secret::default()
    })
}

fn random() -> Result<String> {
    let mut random = [0; CREDENTIAL_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Authority, certificate of the Service's names, and its key; PEM.
fn certificate(namespace: &str) -> Result<(String, String, String)> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority of the object store");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority_key = KeyPair::generate()?;
    let authority = params.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(params, authority_key);
    let host = format!("{NAME}.{namespace}.svc");
    let mut params = CertificateParams::new([host.clone(), format!("{host}.cluster.local")])?;
    params.distinguished_name.push(DnType::CommonName, "object store");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok((authority, params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
}

/// Service and StatefulSet. The volume is kept while the store is stopped.
pub(super) fn manifest(namespace: &str, runs: bool) -> String {
    let (label, value) = POD_LABEL;
    let replicas = u8::from(runs);
    format!(
        r#"apiVersion: v1
kind: Service
metadata: {{name: {NAME}, namespace: {namespace}}}
spec: {{selector: {{{label}: {value}}}, ports: [{{name: https, port: {PORT}}}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {NAME}, namespace: {namespace}}}
spec:
  serviceName: {NAME}
  replicas: {replicas}
  selector: {{matchLabels: {{{label}: {value}}}}}
  persistentVolumeClaimRetentionPolicy: {{whenDeleted: Delete, whenScaled: Retain}}
  template:
    metadata: {{labels: {{{label}: {value}}}}}
    spec:
      automountServiceAccountToken: false
      # Objects are synced before they are acknowledged: there is nothing to wait for.
      terminationGracePeriodSeconds: 1
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile: {{type: RuntimeDefault}}
      containers:
      - name: {NAME}
        image: {OBJECT_STORE_IMAGE}
        imagePullPolicy: Never
        args: [--port, ":{PORT}", --health, /health, --cert, /tls/tls.crt, --key, /tls/tls.key,
          posix, --versioning-dir, {VERSIONS}, {DATA}]
        env:
        - {{name: ROOT_ACCESS_KEY, valueFrom: {{secretKeyRef: {{name: {NAME}, key: ROOT_ACCESS_KEY}}}}}}
        - {{name: ROOT_SECRET_KEY, valueFrom: {{secretKeyRef: {{name: {NAME}, key: ROOT_SECRET_KEY}}}}}}
        ports: [{{name: https, containerPort: {PORT}}}]
        readinessProbe: {{httpGet: {{path: /health, port: https, scheme: HTTPS}}, periodSeconds: 1}}
        securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
        resources: {{requests: {{cpu: 10m, memory: 64Mi}}, limits: {{memory: 256Mi}}}}
        volumeMounts:
        - {{name: data, mountPath: {DATA}, subPath: objects}}
        - {{name: data, mountPath: {VERSIONS}, subPath: versions}}
        - {{name: tls, mountPath: /tls, readOnly: true}}
      volumes:
      - name: tls
        secret: {{secretName: {NAME}, items: [{{key: tls.crt, path: tls.crt}}, {{key: tls.key, path: tls.key}}]}}
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOncePod], resources: {{requests: {{storage: 512Mi}}}}}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_certificates_are_new_each_time() {
        let [one, two] = [(); 2].map(|()| access_secret("a").unwrap().string_data.unwrap());
        for (name, value) in &one {
            assert_ne!(value, &two[name], "{name}");
        }
    }
}
