//! Requests through the front door of an engine: the load balancer, the ingress controller or the gateway. They show
//! what a client outside of the cluster gets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engine_core::certificate::Certificate;
use futures::{StreamExt, stream};
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Bytes,
    header::{HOST, WWW_AUTHENTICATE},
};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use jiff::{SignedDuration, Timestamp};
use operator_core::{exposure::FrontDoor, tls::matches};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use service::tls::provider;

use crate::{
    connections::{connector, pooled},
    tls::roots,
};

/// Timeout of a request. A front door is farther away than a pod.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long an engine stays withdrawn after an answer that is not safe. It cannot be asked meanwhile, because nobody
/// reaches it.
const UNSAFE_FOR: SignedDuration = SignedDuration::from_mins(5);
/// Port of every front door.
const PORT: u16 = 443;
/// A read that needs credentials and changes nothing.
const PATH: &str = "/v1/log/head";

/// What an engine that refuses a request calls itself.
const REALM: &str = "realm=\"memory-engine\"";
/// Most requests through the front door in one reconcile: every host at each of a few addresses.
const DOORS_MAX: usize = 32;
/// Requests at the same time.
const AT_ONCE: usize = 8;

/// Where the front door of an engine is.
pub(crate) struct Door<'a> {
    /// Address or name of the load balancer.
    pub(crate) address: &'a str,
    /// Name under which clients reach the engine.
    pub(crate) host: &'a str,
    /// The authorities that the engine itself is verified with, if no gateway ends its TLS.
    pub(crate) authorities: Option<&'a str>,
}

/// An answer that was not safe.
struct Held {
    found: FrontDoor,
    /// Generation of the spec.
    generation: Option<i64>,
    at: Timestamp,
}

/// Answers that were not safe, by engine.
#[derive(Default)]
pub(crate) struct FrontDoors(Mutex<HashMap<String, Held>>);

impl FrontDoors {
    /// An answer that was not safe, if it still counts. After a change of the spec it does not.
    pub(crate) fn held(&self, engine: &str, generation: Option<i64>, now: Timestamp) -> Option<FrontDoor> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.get(engine)?;
        let counts = held.generation == generation && now.duration_since(held.at) < UNSAFE_FOR;
        counts.then(|| held.found.clone())
    }

    /// Takes over an answer that was not safe from the status, which an operator before this one has written. What this
    /// process has seen itself counts more.
    pub(crate) fn take_over(&self, engine: &str, why: &str, generation: Option<i64>, now: Timestamp) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.entry(engine.to_owned()).or_insert_with(|| Held {
            found: FrontDoor::Unsafe(why.to_owned()),
            generation,
            at: now,
        });
    }

    /// Keeps an answer that was not safe.
    pub(crate) fn keep(&self, engine: &str, found: &FrontDoor, generation: Option<i64>, now: Timestamp) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(found, FrontDoor::Unsafe(_)) {
            held.insert(engine.to_owned(), Held { found: found.clone(), generation, at: now });
        } else {
            held.remove(engine);
        }
    }

    /// Removes what is kept of an engine that no longer exists.
    pub(crate) fn forget(&self, engine: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
    }
}

/// Sends a request without credentials through the front door.
pub(crate) async fn ask(door: &Door<'_>) -> FrontDoor {
    let place = format!("https://{} at {}", door.host, door.address);
    match tokio::time::timeout(TIMEOUT, status(door)).await {
        Err(_) => FrontDoor::Unreachable(format!("{place}: no answer within {TIMEOUT:?}")),
        Ok(Err(why)) => FrontDoor::Unreachable(format!("{place}: {why}")),
        Ok(Ok((status, headers))) => shown(&place, status, &headers),
    }
}

/// What an answer shows. Something in front of the engine that asks for credentials itself shows nothing about the
/// engine.
fn shown(place: &str, status: StatusCode, headers: &HeaderMap) -> FrontDoor {
    let mut challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    let is_engine = challenges.any(|value| value.to_str().is_ok_and(|text| text.contains(REALM)));
    match status {
        StatusCode::UNAUTHORIZED if is_engine => FrontDoor::Answers,
        StatusCode::UNAUTHORIZED => FrontDoor::Unreachable(format!(
            "{place}{PATH} answered {status}, but not as an engine does: something else asks for credentials there"
        )),
        status if status.is_success() => {
            FrontDoor::Unsafe(format!("{place}{PATH} answered {status} to a request without credentials"))
        }
        status => FrontDoor::Unreachable(format!("{place}{PATH} answered {status}")),
    }
}

/// Sends a request through every one of these doors, a few at a time.
pub(crate) async fn ask_all(doors: &[Door<'_>]) -> FrontDoor {
    let asked = doors.iter().take(DOORS_MAX).map(ask);
    let found: Vec<FrontDoor> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    FrontDoor::of_all(&found)
}

/// The status and the headers of the answer.
async fn status(door: &Door<'_>) -> Result<(StatusCode, HeaderMap), String> {
    let name = ServerName::try_from(door.host.to_owned()).map_err(|fault| fault.to_string())?;
    let config = config(door).ok_or("no TLS client can be made")?;
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .with_server_name_resolver(FixedServerNameResolver::new(name))
        .enable_http1()
        .wrap_connector({
            let mut plain = connector();
            plain.enforce_http(false);
            plain
        });
    let bracketed =
        if door.address.contains(':') { format!("[{}]", door.address) } else { door.address.to_owned() };
    let request = Request::get(format!("https://{bracketed}:{PORT}{PATH}"))
        .header(HOST, door.host)
        .body(Full::<Bytes>::default())
        .map_err(|fault| fault.to_string())?;
    let answer = pooled(connector).request(request).await.map_err(|fault| causes(&fault))?;
    Ok((answer.status(), answer.headers().clone()))
}

/// An error with its causes, which say what is wrong.
fn causes(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn config(door: &Door<'_>) -> Option<ClientConfig> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().ok()?;
    let config = match door.authorities {
        Some(authorities) => builder.with_root_certificates(roots([authorities])?).with_no_client_auth(),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(NameAndTime(provider())))
            .with_no_client_auth(),
    };
    Some(config)
}

/// Verifies that a certificate is valid now and for the name of the host, and that the peer has its key; not who has
/// issued it. The authorities that clients trust are theirs, and the operator may not have them.
#[derive(Debug)]
struct NameAndTime(Arc<CryptoProvider>);

impl ServerCertVerifier for NameAndTime {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let refused = |why: &str| Err(rustls::Error::General(why.to_owned()));
        let Ok(certificate) = Certificate::of_der(leaf) else { return refused("it cannot be read") };
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < certificate.not_before.as_second() || now > certificate.not_after.as_second() {
            return refused("the certificate of the front door is not valid now");
        }
        let server = name.to_str();
        if !certificate.dns_names.iter().any(|name| matches(name, &server)) {
            return refused("the certificate of the front door is not for this host");
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_engine_counts_as_one() {
        let of = |code: u16, challenge: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.extend(challenge.map(|text| (WWW_AUTHENTICATE, text.parse().unwrap())));
            shown("https://a at b", StatusCode::from_u16(code).unwrap(), &headers)
        };
        let engine = Some("Bearer realm=\"memory-engine\", resource_metadata=\"https://a\"");
        assert_eq!(of(401, engine), FrontDoor::Answers);
        for (code, challenge) in [
            (401, None),
            (401, Some("Basic realm=\"gateway\"")),
            (401, Some("Bearer")),
            (403, engine),
            (404, None),
            (302, None),
            (503, engine),
        ] {
            assert!(matches!(of(code, challenge), FrontDoor::Unreachable(_)), "{code} {challenge:?}");
        }
        for code in [200, 204] {
            assert!(matches!(of(code, engine), FrontDoor::Unsafe(_)), "{code}");
        }
    }

    /// An engine that was withdrawn stays withdrawn under another operator, for as long as under the one before, and is
    /// asked again then.
    #[test]
    fn an_unsafe_answer_outlives_a_restart_and_then_ends() {
        let (doors, start) = (FrontDoors::default(), Timestamp::from_second(0).unwrap());
        assert_eq!(doors.held("a/b", Some(1), start), None);
        doors.take_over("a/b", "answered 200", Some(1), start);
        let unsafe_answer = Some(FrontDoor::Unsafe("answered 200".into()));
        assert_eq!(doors.held("a/b", Some(1), start + SignedDuration::from_mins(4)), unsafe_answer);
        assert_eq!(doors.held("a/b", Some(2), start), None, "another spec");
        let later = start + UNSAFE_FOR;
        doors.take_over("a/b", "answered 200", Some(1), later);
        assert_eq!(
            doors.held("a/b", Some(1), later),
            None,
            "the status still says it, but it was taken over before"
        );
        doors.keep("a/b", &FrontDoor::Answers, Some(1), later);
        assert_eq!(doors.held("a/b", Some(1), later), None);
    }
}
