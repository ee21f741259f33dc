//! Limits of attempts, of requests and of denials.

use std::fs;

use crate::access::{Guarded, bearer};
use crate::process::{Client, eventually};

#[test]
fn attempts_and_requests_are_limited() {
    let guarded = Guarded::start("");
    let path = guarded.file("config.yaml");
    let config = fs::read_to_string(&path).unwrap();
    let limits = "  failedAttemptsPerMinute: 5\n  requestsPerSecond: 1\n  burst: 3\n";
    fs::write(&path, config.replace("  keys:\n", &format!("{limits}  keys:\n"))).unwrap();
    let limited = || (0..4).any(|_| guarded.get("reader", "/v1/log/head").status == 429);
    eventually("the limits are in force", limited);
    let answer = guarded.get("reader", "/v1/log/head");
    assert!(answer.status != 429 || answer.has_header("retry-after: "), "{answer:?}");
    // Another key, and the same key in another project, have buckets of their own.
    assert_eq!(guarded.get("root", "/v1/log/head").status, 200);
    assert_eq!(guarded.get("reader", "/v1/search?q=x").status, 200);
    let attempt = |local| {
        let mut client = Client::connect_from(local, guarded.engine.api).unwrap();
        client.request("GET", "/v1/log/head", &bearer("nobody"), "").unwrap()
    };
    let statuses: Vec<u16> = (0..7).map(|_| attempt([127, 0, 0, 7]).status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let answer = attempt([127, 0, 0, 7]);
    assert!(answer.code() == "RATE_LIMITED" && answer.has_header("retry-after: "), "{answer:?}");
    assert_eq!(attempt([127, 0, 0, 8]).status, 429, "the id of the key is limited from everywhere");
    let mut client = Client::connect_from([127, 0, 0, 7], guarded.engine.api).unwrap();
    let right = client.request("GET", "/v1/log/head", &bearer("both"), "").unwrap();
    assert_eq!(right.status, 200, "a right key is not locked out");
}

/// A caller that repeats what it may not do is limited like any other, whatever it names.
#[test]
fn denials_count_against_the_rate_of_a_key_and_do_not_fill_the_log() {
    let guarded = Guarded::start("");
    let config = fs::read_to_string(guarded.file("config.yaml")).unwrap();
    let limited = config.replace("anonymous: false", "anonymous: false\n  requestsPerSecond: 1\n  burst: 5");
    let denied = |n: usize| guarded.get("agent-a", &format!("/v1/search?q=x&project=other{n}")).status;
    assert_eq!(denied(0), 403);
    let lines = || guarded.records().iter().filter(|line| line["decision"] == "denied").count();
    assert!((0..100).all(|n| denied(n) == 403), "no rate is configured");
    assert!((60..=65).contains(&lines()), "a line for the first ones: {}", lines());
    fs::write(guarded.file("config.yaml"), limited).unwrap();
    eventually("the rate is in force", || (0..20).any(|n| denied(n) == 429));
    assert_eq!(guarded.get("agent-b", "/v1/log/head").status, 200, "others are not limited");
}
