//! Handshakes that have to fail.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use crate::pki::{Authority, Leaf, authority_params, params};
use crate::tls::{Secured, ask};

/// Presents a certificate with any key, also one that does not belong to it.
#[derive(Debug)]
struct Presents(Arc<CertifiedKey>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn presenting(authority: &Authority, chain: Vec<CertificateDer<'static>>, key: &Leaf) -> Arc<ClientConfig> {
    let signing = aws_lc_rs::sign::any_supported_type(&key.key()).unwrap();
    let mut config = (*authority.client_config(None)).clone();
    config.client_auth_cert_resolver = Arc::new(Presents(Arc::new(CertifiedKey::new(chain, signing))));
    Arc::new(config)
}

fn client_params(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = params("operator", ExtendedKeyUsagePurpose::ClientAuth);
    change(&mut params);
    params
}

/// Certificates of clients that the admin port must refuse.
fn bad_certificates(authority: &Authority) -> Vec<(&'static str, Arc<ClientConfig>)> {
    const DAY: Duration = Duration::from_secs(86_400);
    let now = SystemTime::now();
    let other = Authority::new("other");
    let namesake = Authority::new("first");
    let of = |change: fn(&mut CertificateParams)| authority.issue(&client_params(change));
    let below = authority.below(authority_params("below"));
    let leaf_as_authority = authority.below(client_params(|_| ()));
    let constrained = authority.below({
        let mut params = authority_params("constrained");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params
    });
    let too_deep = constrained.below(authority_params("too deep"));
    let self_signed = {
        let key = KeyPair::generate().unwrap();
        let certificate = client_params(|_| ()).self_signed(&key).unwrap().pem();
        Leaf { certificate, key: key.serialize_pem() }
    };
    let chained = |leaf: Leaf, issuers: &[&Authority]| {
        let issuers: String = issuers.iter().map(|issuer| issuer.pem()).collect();
        Leaf { certificate: leaf.certificate + &issuers, ..leaf }
    };
    let mut found: Vec<(&'static str, Arc<ClientConfig>)> = [
        ("another authority", other.client()),
        ("an authority of the same name", namesake.client()),
        ("signed by itself", self_signed),
        ("expired", authority.issue(&client_params(|params| params.not_after = (now - DAY / 2).into()))),
        (
            "not valid yet",
            authority.issue(&client_params(|params| params.not_before = (now + DAY / 2).into())),
        ),
        ("for servers only", authority.server()),
        (
            "for code only",
            of(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
        ),
        (
            "an unknown critical extension",
            of(|params| {
                let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                extension.set_criticality(true);
                params.custom_extensions.push(extension);
            }),
        ),
        ("an authority itself", of(|params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained))),
        ("the intermediate authority is missing", below.client()),
        ("signed by a leaf", chained(leaf_as_authority.client(), &[&leaf_as_authority])),
        ("below an authority that may have none", chained(too_deep.client(), &[&too_deep, &constrained])),
        (
            "an intermediate one of another authority",
            chained(other.below(authority_params("x")).client(), &[&below]),
        ),
    ]
    .into_iter()
    .map(|(what, leaf)| (what, presenting(authority, leaf.chain(), &leaf)))
    .collect();
    found.extend(damaged(authority));
    found
}

/// Clients that present no certificate, one that is not theirs, or a damaged one.
fn damaged(authority: &Authority) -> Vec<(&'static str, Arc<ClientConfig>)> {
    let good = authority.client();
    let flipped = |at: usize| {
        let mut der = good.chain()[0].to_vec();
        let place = der.len() * at / 100;
        der[place] ^= 1;
        vec![CertificateDer::from(der)]
    };
    let cut = |bytes: usize| vec![CertificateDer::from(good.chain()[0][..bytes].to_vec())];
    let mut reversed = good.chain();
    reversed.extend(Leaf { certificate: authority.pem(), ..good.clone() }.chain());
    reversed.reverse();
    let mut found = vec![
        ("none", authority.client_config(None)),
        ("the key of another", presenting(authority, good.chain(), &authority.client())),
        ("an empty chain", presenting(authority, Vec::new(), &good)),
        ("the issuer first", presenting(authority, reversed, &good)),
    ];
    for (what, at) in [("a changed subject", 30), ("a changed key", 60), ("a changed signature", 98)] {
        found.push((what, presenting(authority, flipped(at), &good)));
    }
    for (what, bytes) in [("half a certificate", 200), ("one byte", 1), ("an empty certificate", 0)] {
        found.push((what, presenting(authority, cut(bytes), &good)));
    }
    found
}

/// Clients whose protocol the ports must refuse.
fn bad_protocols(authority: &Authority) -> Vec<(String, Arc<ClientConfig>)> {
    let leaf = authority.client();
    let good = authority.client_config(Some(&leaf));
    let mut found = Vec::new();
    for name in [&b"h2"[..], b"http/1.0", b"acme-tls/1"] {
        let mut config = (*good).clone();
        config.alpn_protocols = vec![name.to_vec()];
        found.push((format!("only {}", String::from_utf8_lossy(name)), Arc::new(config)));
    }
    let suites = aws_lc_rs::default_provider().cipher_suites;
    for suite in suites.into_iter().filter(|suite| suite.tls13().is_none()) {
        let provider = CryptoProvider { cipher_suites: vec![suite], ..aws_lc_rs::default_provider() };
        let config = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting))
            .with_client_auth_cert(leaf.chain(), leaf.key())
            .unwrap();
        found.push((format!("TLS 1.2 with {:?}", suite.suite()), Arc::new(config)));
    }
    found
}

/// Accepts every server, so that only the server can refuse.
#[derive(Debug)]
struct Trusting;

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// First bytes of a client that are no handshake of TLS 1.3.
fn bad_first_bytes() -> Vec<(&'static str, Vec<u8>)> {
    let hello = |version: [u8; 2]| {
        let mut body = vec![version[0], version[1]];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x00, 0x2f, 1, 0]);
        let mut message = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend(body);
        let mut record = vec![0x16, version[0], version[1], 0, u8::try_from(message.len()).unwrap()];
        record.extend(message);
        record
    };
    vec![
        ("plain HTTP", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        (
            "plain HTTP with a body",
            b"POST /anchor HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}".to_vec(),
        ),
        ("HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("SSH", b"SSH-2.0-client\r\n".to_vec()),
        ("the PROXY protocol", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n".to_vec()),
        ("SSL 2", vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 1, 0, 0x80]),
        ("SSL 3", hello([3, 0])),
        ("TLS 1.0", hello([3, 1])),
        ("TLS 1.1", hello([3, 2])),
        ("TLS 1.2 without extensions", hello([3, 3])),
        ("an unknown version", hello([9, 9])),
        ("an alert first", vec![0x15, 3, 3, 0, 2, 2, 40]),
        ("data first", vec![0x17, 3, 3, 0, 3, 1, 2, 3]),
        ("a change of cipher first", vec![0x14, 3, 3, 0, 1, 1]),
        ("an unknown record", vec![0x42, 3, 3, 0, 1, 1]),
        ("a record that is too long", [&[0x16, 3, 3, 0xff, 0xff][..], &[0; 4096]].concat()),
        ("an empty record", vec![0x16, 3, 3, 0, 0]),
        ("a message that is too long", vec![0x16, 3, 3, 0, 4, 1, 0xff, 0xff, 0xff]),
        ("a hello of a server", vec![0x16, 3, 3, 0, 4, 2, 0, 0, 0]),
        ("zeros", vec![0; 512]),
        ("ones", vec![0xff; 512]),
    ]
}

/// Sends bytes and returns what the port sends before it closes the connection.
fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(bytes).unwrap();
    let _half_closed = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    // A reset is an answer too.
    let _end = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn no_bad_handshake_is_accepted() {
    let secured = Secured::start();
    let (engine, authority) = (&secured.engine, &secured.authority);
    let good = authority.client_config(Some(&authority.client()));
    assert_eq!(ask(engine.admin, &good, "/health").unwrap().status, 200, "the good one works");
    let certificates = bad_certificates(authority);
    let protocols = bad_protocols(authority);
    let first_bytes = bad_first_bytes();
    let kinds = certificates.len() + protocols.len() + first_bytes.len();
    assert!(kinds >= 40, "{kinds} kinds");
    for (what, config) in &certificates {
        let answer = ask(engine.admin, config, "/health");
        assert!(answer.is_err(), "{what}: {answer:?}");
    }
    for (what, config) in &protocols {
        for port in [engine.admin, engine.api] {
            let answer = ask(port, config, "/health");
            assert!(answer.is_err(), "{what}: {answer:?}");
        }
    }
    for (what, bytes) in &first_bytes {
        for port in [engine.admin, engine.api] {
            let answer = answer_to(port, bytes);
            // At most an alert.
            let is_refused = answer.is_empty() || answer[0] == 0x15 && answer.len() < 64;
            assert!(is_refused, "{what}: {answer:?}");
        }
    }
    println!("{kinds} kinds of bad handshake, 0 accepted");
    assert_eq!(ask(engine.admin, &good, "/health").unwrap().status, 200, "the good one still works");
}
