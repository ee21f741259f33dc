//! Tests of the keys in force.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::access::ApiKey;
use engine_core::configuration::Access;
use engine_core::wire::{CreateToken, RevokeToken};
use engine_log::Clock;
use engine_log::storage::Storage;
use jiff::Timestamp;

use crate::metrics::Metrics;
use engine_core::access::KEY_RANDOM_BYTES;
use engine_log::storage::DiskStorage;

use super::control::*;
use super::credentials::Credentials;
use service::secret_file::Exposed;

fn control(configuration: Access) -> (tempfile::TempDir, Arc<AccessControl>) {
    let data = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(DiskStorage::new(data.path().into()));
    let metrics = Metrics::new("").unwrap();
    (data, Arc::new(AccessControl::new((configuration, Exposed::Reported), storage, Clock::System, &metrics)))
}

fn closed() -> Access {
    Access { anonymous: Some(false), ..Access::default() }
}

fn request(name: &str) -> CreateToken {
    let (scopes, projects) = (vec![engine_core::access::Scope::Read], vec!["notes".to_owned()]);
    CreateToken { name: name.to_owned(), scopes, projects, expires: None }
}

#[test]
fn credentials_are_one_header_with_one_scheme() {
    let of = |values: &[&str]| {
        let credentials = Credentials::of(values.iter().map(|value| value.as_bytes()), None);
        format!("{credentials:?}")
    };
    assert_eq!(of(&[]), "None");
    assert_eq!(of(&["Bearer mek_a"]), "Key(\"mek_a\")");
    assert_eq!(of(&["bearer  mek_a "]), "Key(\"mek_a\")");
    assert_eq!(of(&["Bearer eyJ.a.b"]), "Token(\"eyJ.a.b\")");
    for values in [&["Basic mek_a"][..], &["mek_a"], &[""], &["Bearer mek_a", "Bearer mek_a"]] {
        assert_eq!(of(values), "Unreadable", "{values:?}");
    }
}

#[tokio::test]
async fn a_made_key_is_accepted_until_it_is_revoked() {
    let (_data, control) = control(closed());
    let made = control.create(request("a")).unwrap();
    let session = control.recognise(&Credentials::Key(&made.key)).await.unwrap();
    assert_eq!(session.caller().name, "a");
    assert!(control.create(request("a")).is_err() && control.recognise(&Credentials::None).await.is_err());
    control.revoke(&RevokeToken { name: "a".into() }).unwrap();
    assert!(control.recognise(&Credentials::Key(&made.key)).await.is_err());
}

/// Prints what a request pays. The limit is for optimised code; without optimisation it is ten times as high.
#[test]
fn a_key_is_checked_in_microseconds() {
    const ROUNDS: u32 = 5_000;
    let limit = Duration::from_micros(if cfg!(debug_assertions) { 200 } else { 20 });
    let (_data, control) = control(closed());
    let keys: Vec<String> =
        (0..300).map(|n| control.create(request(&format!("a{n}"))).unwrap().key).collect();
    let unknown = ApiKey::of_random(&[1; KEY_RANDOM_BYTES]);
    let started = Instant::now();
    for round in 0..ROUNDS {
        let key = &keys[round as usize % keys.len()];
        assert!(control.caller_of(&Credentials::Key(key), Timestamp::now()).is_ok());
    }
    let known = started.elapsed() / ROUNDS;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        let found = control.caller_of(&Credentials::Key(unknown.secret_text()), Timestamp::now());
        assert!(found.is_err());
    }
    let unknown = started.elapsed() / ROUNDS;
    println!("of {} keys: {known:?} for one of them, {unknown:?} for another", keys.len());
    assert!(known < limit && unknown < limit, "{known:?} {unknown:?}");
}
