//! Clients with which the operator connects to engines that have TLS. The operator issues their certificates itself and
//! keeps them in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use engine_core::digest::Hash;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use jiff::{SignedDuration, Timestamp};
use operator_core::names::server_name;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::{
    ClientConfig,
    pki_types::{PrivateKeyDer, ServerName, pem::PemObject},
    version::TLS13,
};
use service::tls::{certificates, provider};

use super::{
    issue::signed,
    material::{Material, roots},
};
use crate::connections::{TlsClient, connector, pooled};

/// Lifetime of the operator's own certificates. Each process issues its own.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// Age at which such a certificate is replaced.
const RENEWED_AFTER: SignedDuration = SignedDuration::from_hours(12);

struct Known {
    /// What the client was made from.
    of: Hash,
    since: Timestamp,
    client: Arc<TlsClient>,
}

/// The clients of all engines.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<String, Known>>);

impl Clients {
    /// The client of an engine, made of the Secrets that were just read. `None` if they do not suffice.
    pub(crate) fn of(
        &self,
        (namespace, name): (&str, &str),
        material: &Material,
        now: Timestamp,
    ) -> Option<Arc<TlsClient>> {
        let (signer, trusted) = signer(material)?;
        let of = Hash::of(format!("{}{}{trusted}", signer.0, signer.1).as_bytes());
        let identity = format!("{namespace}/{name}");
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = clients.get(&identity)
            && known.of == of
            && now.duration_since(known.since) < RENEWED_AFTER
        {
            return Some(Arc::clone(&known.client));
        }
        let client = Arc::new(client(&signer, &trusted, &server_name(name, namespace), now)?);
        clients.insert(identity, Known { of, since: now, client: Arc::clone(&client) });
        Some(client)
    }

    /// The client of an engine that the last reading of its Secrets has given.
    pub(crate) fn known(&self, engine: &str) -> Option<Arc<TlsClient>> {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.get(engine).map(|known| Arc::clone(&known.client))
    }

    /// Removes the client of an engine that no longer exists.
    pub(crate) fn forget(&self, engine: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
    }
}

/// The authority whose clients every pod trusts, and the authorities of certificates that pods may serve. Until pods
/// trust a new authority, that is the one before.
fn signer(material: &Material) -> Option<((String, String), String)> {
    let authority = material.authority.as_ref()?;
    let served = material.certificate.as_ref().map(|texts| texts.authorities.as_str()).unwrap_or_default();
    let retired = authority.retired_key.clone().map(|key| (authority.retired.clone(), key));
    let signer = retired.unwrap_or_else(|| (authority.certificate.clone(), authority.key.clone()));
    Some((signer, format!("{}{served}", authority.bundle())))
}

fn client(
    (authority, key): &(String, String),
    trusted: &str,
    server: &str,
    now: Timestamp,
) -> Option<TlsClient> {
    let usage = [ExtendedKeyUsagePurpose::ClientAuth];
    let pair = signed(&["memory-operator".to_owned()], &usage, (authority, key), (now, LIFETIME)).ok()?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .ok()?
        .with_root_certificates(roots([trusted])?)
        .with_client_auth_cert(
            certificates(pair.certificate.as_bytes())?,
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).ok()?,
        )
        .ok()?;
    let mut http = connector();
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        // The operator connects to the address of a pod, and verifies the name of its Service.
        .with_server_name_resolver(FixedServerNameResolver::new(
            ServerName::try_from(server.to_owned()).ok()?,
        ))
        .enable_http1()
        .wrap_connector(http);
    Some(pooled(https))
}
