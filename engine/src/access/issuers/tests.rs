//! Tests with real signatures. The keys of the issuer are in a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use engine_core::access::{CallerKind, Projects, Scope};
use engine_core::configuration::SigningAlgorithm;
use engine_core::issuer::KEYS_LIFE_MAX;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://id.example.org";
const NOW: i64 = 1_800_000_000;

/// Base64url without padding.
fn base64url(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A key of an issuer.
struct Signer {
    key: EncodingKey,
    public: Vec<u8>,
    algorithm: Algorithm,
    /// Name of the algorithm in tokens.
    word: &'static str,
    kid: &'static str,
}

impl Signer {
    fn new(word: &'static str, kid: &'static str) -> Signer {
        let (kind, algorithm) = match word {
            "ES256" => (&PKCS_ECDSA_P256_SHA256, Algorithm::ES256),
            "ES384" => (&PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
            "EdDSA" => (&PKCS_ED25519, Algorithm::EdDSA),
            "PS256" => (&PKCS_RSA_SHA256, Algorithm::PS256),
            _ => (&PKCS_RSA_SHA256, Algorithm::RS256),
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let key = match algorithm {
            Algorithm::EdDSA => EncodingKey::from_ed_der(pair.serialized_der()),
            Algorithm::RS256 | Algorithm::PS256 => EncodingKey::from_rsa_der(&rsa_of_pkcs8(&pair)),
            _ => EncodingKey::from_ec_der(pair.serialized_der()),
        };
        let public = pair.public_key_raw().to_vec();
        Signer { key, public, algorithm, word, kid }
    }

    /// The public key, as an issuer publishes it.
    fn jwk(&self) -> Value {
        let mut jwk = match self.algorithm {
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&self.public)}),
            _ => json!(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()),
        };
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.word);
        jwk
    }

    fn header(&self) -> Value {
        json!({"alg": self.word, "typ": "at+jwt", "kid": self.kid})
    }

    /// Signs texts as they are.
    fn sign_texts(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(claims));
        let signature = crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    fn sign_with(&self, header: &Value, claims: &Value) -> String {
        self.sign_texts(&header.to_string(), &claims.to_string())
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }
}

/// The key in the form that the library reads, which is the last part of the other one.
fn rsa_of_pkcs8(pair: &KeyPair) -> Vec<u8> {
    // SEQUENCE { version, algorithm, OCTET STRING { key } }: the lengths of a key of 2,048 bits take two bytes each.
    pair.serialized_der()[26..].to_vec()
}

fn rules() -> AccessIssuer {
    AccessIssuer {
        issuer: ISSUER.into(),
        audiences: vec!["memory".into(), "https://memory.example.org".into()],
        ..AccessIssuer::default()
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "memory", "sub": "agent", "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 300,
        "scope": "openid memory:read memory:write", "projects": ["notes", "team"],
    })
}

/// `claims()` with other values; `null` removes a claim.
fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn publish(file: &Path, keys: &[Value]) {
    std::fs::write(file, json!({"keys": keys}).to_string()).unwrap();
}

async fn refresh(issuers: &Issuers) {
    for issuer in issuers.list() {
        let fetched = fetch::keys(&issuer.rules).await;
        if issuer.put(fetched, issuers.started.elapsed()) {
            issuers.verified.forget();
        }
    }
}

/// Issuers with one issuer, whose keys are in a file.
async fn issuers(file: &Path, rules: AccessIssuer) -> Arc<Issuers> {
    let rules = AccessIssuer { jwks_file: Some(file.to_str().unwrap().into()), ..rules };
    let issuers = Arc::new(Issuers::new(&[rules], &Metrics::new("").unwrap()));
    refresh(&issuers).await;
    issuers
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

#[tokio::test]
async fn a_right_token_makes_a_caller_with_its_scopes_and_projects() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let words = ["ES256", "ES384", "RS256", "PS256", "EdDSA"];
    let signers: Vec<Signer> = words.into_iter().map(|word| Signer::new(word, word)).collect();
    publish(file.path(), &signers.iter().map(Signer::jwk).collect::<Vec<_>>());
    let all = SigningAlgorithm::WORDS.iter().map(|word| serde_json::from_value(json!(word)).unwrap());
    let issuers = issuers(file.path(), AccessIssuer { algorithms: Some(all.collect()), ..rules() }).await;
    for signer in &signers {
        for _ in ["verified", "found again"] {
            let caller = issuers.caller_of(&signer.sign(&claims()), now()).unwrap();
            assert_eq!(
                (caller.kind, caller.name.as_str()),
                (CallerKind::Token, "https://id.example.org#agent")
            );
            assert_eq!(caller.scopes, [Scope::Read, Scope::Write]);
            assert_eq!(caller.projects, Projects::Only(vec!["notes".into(), "team".into()]));
        }
    }
    let signer = &signers[0];
    for (changes, fault) in [
        (json!({"aud": ["other", "https://memory.example.org"]}), None),
        (json!({"iat": null, "nbf": null}), None),
        (json!({"exp": NOW - 59}), None),
        (json!({"exp": 1_800_000_300.5}), None),
        (json!({"exp": NOW - 60}), Some(TokenFault::Expired)),
        (json!({"nbf": NOW + 60}), None),
        (json!({"nbf": NOW + 61}), Some(TokenFault::NotYet)),
    ] {
        let found = issuers.caller_of(&signer.sign(&with(&changes)), now()).err();
        assert_eq!(found, fault, "{changes}");
    }
    for header in [json!({"alg": "ES256"}), json!({"alg": "ES256", "typ": "JWT", "kid": "ES256"})] {
        assert!(issuers.caller_of(&signer.sign_with(&header, &claims()), now()).is_ok(), "{header}");
    }
    // What was verified ends with the token.
    let later = Timestamp::from_second(NOW + 360).unwrap();
    assert_eq!(issuers.caller_of(&signer.sign(&claims()), later).unwrap_err(), TokenFault::Expired);
}

/// Claims of a token with a right signature that has to be refused.
fn bad_claims() -> Vec<Value> {
    vec![
        json!({"iss": null}),
        json!({"iss": "https://id.example.org/"}),
        json!({"iss": "https://ID.example.org"}),
        json!({"iss": "https://id.example.org.evil.org"}),
        json!({"iss": [ISSUER]}),
        json!({"aud": null}),
        json!({"aud": ""}),
        json!({"aud": "memory2"}),
        json!({"aud": "Memory"}),
        json!({"aud": []}),
        json!({"aud": ["other"]}),
        json!({"aud": {"memory": true}}),
        json!({"aud": ["memory", 1]}),
        json!({"exp": null}),
        json!({"exp": NOW - 60}),
        json!({"exp": "1900000000"}),
        json!({"exp": -1}),
        json!({"exp": 1e300}),
        json!({"exp": [NOW + 300]}),
        json!({"nbf": NOW + 61}),
        json!({"nbf": "now"}),
        json!({"iat": NOW + 61}),
        json!({"iat": NOW - 3_661}),
        json!({"iat": null}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 1}),
        json!({"sub": "a\nb"}),
        json!({"sub": "a".repeat(256)}),
        json!({"tenant": null}),
        json!({"tenant": "two"}),
        json!({"tenant": ["one"]}),
        json!({"projects": vec!["p"; 65]}),
    ]
}

/// Headers of a token with a right signature that has to be refused.
fn bad_headers(signer: &Signer) -> Vec<Value> {
    let header = |changes: Value| {
        let mut header = signer.header();
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        header
    };
    vec![
        header(json!({"alg": "none"})),
        header(json!({"alg": "None"})),
        header(json!({"alg": ""})),
        header(json!({"alg": null})),
        header(json!({"alg": ["ES256"]})),
        header(json!({"alg": "es256"})),
        header(json!({"alg": "RS256"})),
        header(json!({"alg": "ES384"})),
        header(json!({"alg": "ES512"})),
        header(json!({"kid": "other"})),
        header(json!({"kid": "../../etc/passwd"})),
        header(json!({"kid": "' OR 1=1 --"})),
        header(json!({"kid": ""})),
        header(json!({"kid": 1})),
        header(json!({"kid": "k".repeat(257)})),
        header(json!({"jku": "https://evil.example.org/keys"})),
        header(json!({"x5u": "https://evil.example.org/chain"})),
        header(json!({"x5c": ["MIIB"]})),
        header(json!({"jwk": Signer::new("ES256", "k1").jwk()})),
        header(json!({"crit": ["exp"], "exp": 1})),
        header(json!({"crit": []})),
        header(json!({"b64": false})),
        header(json!({"typ": "JWE"})),
        header(json!({"typ": "dpop+jwt"})),
        header(json!({"typ": 1})),
        header(json!({"cty": "JWT"})),
        header(json!({"enc": "A256GCM"})),
        header(json!({"zip": "DEF"})),
    ]
}

/// Texts that are made without the key of the issuer, or damaged afterwards.
fn bad_texts(signer: &Signer) -> Vec<String> {
    let good = signer.sign(&bound());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let jwk = signer.jwk();
    let secret = EncodingKey::from_secret(jwk.to_string().as_bytes());
    let hs = |word: &str| {
        let message = format!("{}.{payload}", base64url(json!({"alg": word, "kid": "k1"}).to_string()));
        let signature = crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    let (all, other) = (bound().to_string(), with(&json!({"sub": "root", "tenant": "one"})).to_string());
    let twice = all.replacen("{\"", "{\"sub\":\"root\",\"", 1);
    let nested = all.replacen('{', &format!("{{\"x\":{}1{},", "[".repeat(500), "]".repeat(500)), 1);
    let of_another = Signer::new("ES256", "k1").sign(&bound());
    let raw = |part: &str| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap()
    };
    let bytes = raw(signature);
    let half = |bytes: &[u8]| {
        let mut number = bytes.to_vec();
        number.insert(0, 0);
        [vec![2, 33], number].concat()
    };
    let der = [vec![0x30, 70], half(&bytes[..32]), half(&bytes[32..])].concat();
    let zeros = base64url([0_u8; 64]);
    let json_form =
        json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]});
    vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "eyJ".to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{good}.{signature}"),
        format!("{good}."),
        format!(" {good}"),
        format!("{good}="),
        format!("{good}\n"),
        format!("{header}.{payload}.{}", &signature[..signature.len() - 2]),
        format!("{header}.{payload}.{signature}AAAA"),
        format!("{header}.{payload}.{zeros}"),
        format!("{header}.{payload}.{}", base64url(der)),
        format!("{header}.{payload}.{}", base64url([&bytes[32..], &bytes[..32]].concat())),
        format!("{header}.{}.{signature}", base64url(&other)),
        format!("{}.{payload}.{signature}", base64url(json!({"alg": "ES256", "kid": "k1"}).to_string())),
        format!("{header}.{payload}.{}", of_another.rsplit('.').next().unwrap()),
        of_another,
        hs("HS256"),
        hs("ES256"),
        format!("{}.{payload}.", base64url(json!({"alg": "none"}).to_string())),
        signer.sign_texts(&signer.header().to_string(), &twice),
        signer.sign_texts("{\"alg\":\"ES256\",\"alg\":\"none\",\"kid\":\"k1\"}", &all),
        signer.sign_texts(&signer.header().to_string(), &nested),
        signer.sign_texts(&signer.header().to_string(), &format!("[{all}]")),
        signer.sign_texts(&signer.header().to_string(), &format!("{all}{all}")),
        signer.sign_texts(&signer.header().to_string(), "\"text\""),
        signer.sign_texts("[]", &all),
        signer.sign_texts(&signer.header().to_string(), &good),
        signer.sign(&with(&json!({"tenant": "one", "padding": "x".repeat(9_000)}))),
        json_form.to_string(),
        base64url(json_form.to_string()),
        good.replace('.', ".."),
        format!("{}.{payload}.{signature}", header.to_uppercase()),
    ]
}

/// Claims that the rules of [`a_bad_token_is_never_accepted`] accept.
fn bound() -> Value {
    with(&json!({"tenant": "one"}))
}

#[tokio::test]
async fn a_bad_token_is_never_accepted() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (signer, weak) = (Signer::new("ES256", "k1"), Signer::new("ES256", "enc"));
    let mut for_encryption = weak.jwk();
    for_encryption["use"] = json!("enc");
    publish(file.path(), &[signer.jwk(), for_encryption, Signer::new("RS256", "k2").jwk()]);
    let required = BTreeMap::from([("tenant".to_owned(), "one".to_owned())]);
    let rules = AccessIssuer { required_claims: required, max_token_age_seconds: Some(3_600), ..rules() };
    let issuers = issuers(file.path(), rules).await;
    assert!(issuers.caller_of(&signer.sign(&bound()), now()).is_ok(), "the good one");
    let mut bad = bad_texts(&signer);
    bad.extend(bad_headers(&signer).iter().map(|header| signer.sign_with(header, &bound())));
    bad.extend(bad_claims().into_iter().map(|mut changes| {
        let changes = changes.as_object_mut().unwrap();
        changes.entry("tenant").or_insert_with(|| json!("one"));
        signer.sign(&with(&Value::Object(changes.clone())))
    }));
    bad.push(weak.sign(&bound()));
    assert!(bad.len() >= 90, "{}", bad.len());
    let accepted: Vec<&String> = bad.iter().filter(|text| issuers.caller_of(text, now()).is_ok()).collect();
    assert_eq!(accepted, Vec::<&String>::new(), "of {}", bad.len());
    // Also not when they come again, and the good one still is.
    assert!(bad.iter().all(|text| issuers.caller_of(text, now()).is_err()));
    assert!(issuers.caller_of(&signer.sign(&bound()), now()).is_ok());
}

#[tokio::test]
async fn a_token_without_projects_has_none_and_never_all() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let signer = Signer::new("ES256", "k1");
    publish(file.path(), &[signer.jwk()]);
    let projects = async |rules: AccessIssuer, claim: Value| {
        let issuers = issuers(file.path(), rules).await;
        issuers.caller_of(&signer.sign(&with(&json!({"projects": claim}))), now()).unwrap().projects.clone()
    };
    for claim in [json!(null), json!("*"), json!(["*"]), json!([]), json!(""), json!({"a": 1}), json!([1])] {
        assert_eq!(projects(rules(), claim.clone()).await, Projects::Only(Vec::new()), "{claim}");
    }
    let only = |names: &[&str]| Projects::Only(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(projects(rules(), json!("notes")).await, only(&["notes"]));
    assert_eq!(projects(rules(), json!(["b", "*", "memory-engine", "", "a", "b"])).await, only(&["a", "b"]));
    let fixed = |names: &[&str]| AccessIssuer {
        projects: names.iter().map(|name| (*name).to_owned()).collect(),
        ..rules()
    };
    assert_eq!(projects(fixed(&["fixed"]), json!("notes")).await, only(&["fixed"]));
    assert_eq!(projects(fixed(&["*"]), json!(null)).await, Projects::All);
}

#[tokio::test]
async fn a_replaced_key_is_refused_and_a_kept_one_survives_an_outage() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (old, new) = (Signer::new("ES256", "old"), Signer::new("ES256", "new"));
    publish(file.path(), &[old.jwk()]);
    let issuers = issuers(file.path(), rules()).await;
    let (by_old, by_new) = (old.sign(&claims()), new.sign(&claims()));
    assert!(issuers.caller_of(&by_old, now()).is_ok());
    assert_eq!(issuers.caller_of(&by_new, now()).unwrap_err(), TokenFault::Key);
    publish(file.path(), &[old.jwk(), new.jwk()]);
    refresh(&issuers).await;
    assert!(issuers.caller_of(&by_old, now()).is_ok() && issuers.caller_of(&by_new, now()).is_ok());
    publish(file.path(), &[new.jwk()]);
    refresh(&issuers).await;
    // The token was verified before; its key counts now.
    assert_eq!(issuers.caller_of(&by_old, now()).unwrap_err(), TokenFault::Key);
    for outage in ["", "{", "{\"keys\": 1}", "<html>"] {
        std::fs::write(file.path(), outage).unwrap();
        refresh(&issuers).await;
        assert!(issuers.caller_of(&by_new, now()).is_ok(), "{outage}");
        assert!(issuers.health()[0].fault.is_some() && issuers.health()[0].keys == 1);
    }
    publish(file.path(), &[]);
    refresh(&issuers).await;
    assert_eq!(issuers.caller_of(&by_new, now()).unwrap_err(), TokenFault::Key, "all keys were withdrawn");
    issuers.set(&[]);
    assert_eq!(issuers.caller_of(&by_new, now()).unwrap_err(), TokenFault::Issuer);
}

/// Keys that the issuer has not confirmed for a day are dropped, and the report says since when there are none.
#[tokio::test]
async fn keys_past_their_last_use_are_dropped_and_reported() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let signer = Signer::new("ES256", "one");
    publish(file.path(), &[signer.jwk()]);
    let issuers = issuers(file.path(), rules()).await;
    let token = signer.sign(&claims());
    assert!(issuers.caller_of(&token, now()).is_ok());
    std::fs::remove_file(file.path()).unwrap();
    refresh(&issuers).await;
    let last_use = issuers.started.elapsed() + KEYS_LIFE_MAX;
    let of = |issuers: &Issuers| issuers.list().remove(0);
    assert!(!of(&issuers).drop_dead_keys(last_use - Duration::from_secs(60)), "a minute before");
    assert!(issuers.caller_of(&token, now()).is_ok() && issuers.health()[0].keys == 1);
    assert!(of(&issuers).drop_dead_keys(last_use), "a day later");
    issuers.verified.forget();
    assert_eq!(issuers.caller_of(&token, now()).unwrap_err(), TokenFault::NoKeys);
    let health = issuers.health().remove(0);
    assert!(health.keys == 0 && health.received_at.is_some() && health.fault.is_some(), "{health:?}");
}

/// Prints what a request pays. The limits are for optimised code; without optimisation they are ten times as high.
#[tokio::test]
async fn a_token_is_verified_in_microseconds() {
    const ROUNDS: u32 = 300;
    let file = tempfile::NamedTempFile::new().unwrap();
    let signers = ["ES256", "RS256", "EdDSA"].map(|word| Signer::new(word, word));
    publish(file.path(), &signers.iter().map(Signer::jwk).collect::<Vec<_>>());
    let algorithms = Some(vec![SigningAlgorithm::Es256, SigningAlgorithm::Rs256, SigningAlgorithm::EdDsa]);
    let issuers = issuers(file.path(), AccessIssuer { algorithms, ..rules() }).await;
    let factor = if cfg!(debug_assertions) { 10 } else { 1 };
    for signer in &signers {
        let tokens: Vec<String> =
            (0..ROUNDS).map(|n| signer.sign(&with(&json!({"jti": n.to_string()})))).collect();
        let mut times = [Duration::ZERO; 2];
        for time in &mut times {
            let started = Instant::now();
            assert!(tokens.iter().all(|token| issuers.caller_of(token, now()).is_ok()));
            *time = started.elapsed() / ROUNDS;
        }
        let [first, again] = times;
        println!("a token with {}: {first:?} for the first time, {again:?} again", signer.word);
        let limits = [Duration::from_micros(500 * factor), Duration::from_micros(20 * factor)];
        assert!(first < limits[0] && again < limits[1], "{} {times:?}", signer.word);
    }
}
