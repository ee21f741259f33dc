//! For each detector, texts that it matches and texts that it does not match.

use std::collections::BTreeSet;

use super::example_texts::{PERSONAL, secrets, secrets_of};
use super::*;

#[test]
fn secrets_are_named_and_what_looks_like_them_passes() {
    let policy = everything();
    for (name, positive, negative) in secrets() {
        for text in [positive.clone(), format!("We use {positive} for it."), format!("a\n{positive}\nb")] {
            let found = names(policy, &text);
            assert!(found.contains(&name), "{name} is not found: {found:?}");
            assert!(policy.judge_text("content", &text, NOW).is_err(), "{name}");
        }
        assert!(
            !names(policy, &negative)
                .iter()
                .any(|found| detectors().any(|d| d.name == *found && d.finds == Finds::Secret)),
            "{name}: {negative}"
        );
    }
}

#[test]
fn another_seed_gives_other_secrets() {
    let texts = |seed| secrets_of(seed).into_iter().map(|(_, text, _)| text).collect::<BTreeSet<_>>();
    let (one, other) = (texts(1), texts(2));
    let found =
        |texts: &BTreeSet<String>| texts.iter().filter(|text| !names(everything(), text).is_empty()).count();
    assert!(one.intersection(&other).count() < one.len() / 4, "most of them have random parts");
    // By chance a random part may look like a placeholder.
    assert!(found(&one) + 3 > one.len() && found(&other) + 3 > other.len());
}

#[test]
fn personal_data_is_redacted_and_what_looks_like_it_stays() {
    let policy = everything();
    for (name, text, redacted) in PERSONAL {
        let judged = policy.judge_text("content", text, NOW).unwrap();
        assert_eq!(judged.changed.as_deref().unwrap_or(text), *redacted, "{name}");
        assert!(text == redacted || names(policy, text).contains(name), "{name} is not what finds {text:?}");
    }
}

#[test]
fn every_detector_has_an_example_of_both() {
    let positive: BTreeSet<&str> = secrets().into_iter().map(|(name, ..)| name).collect();
    let personal = |finds: bool| {
        PERSONAL.iter().filter(move |(_, text, redacted)| (text != redacted) == finds).map(|(name, ..)| *name)
    };
    let found: BTreeSet<&str> = positive.iter().copied().chain(personal(true)).collect();
    let passed: BTreeSet<&str> = positive.into_iter().chain(personal(false)).collect();
    let all: BTreeSet<&str> = detectors().map(|detector| detector.name).collect();
    assert_eq!(found, all);
    let without: Vec<_> = all.difference(&passed).collect();
    assert!(
        without.iter().all(|name| ["address-with-unit", "post-box"].contains(name)),
        "no negative example: {without:?}"
    );
}

#[test]
fn notes_about_systems_stay_as_they_are() {
    let policy = default();
    for note in [
        "Rolled back api to sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 at 2026-11-25T21:42:07.123456Z",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7, request 550e8400-e29b-41d4-a716-446655440000",
        "Postgres 16.4.1-2 uses port 5432; node-7 has 10.0.12.255/24, eth0 mtu 9001, pid 1234567890",
        "`SELECT * FROM users WHERE id = 1234567890123` took 1732571234567 ns; offset 0x7fffdeadbeef",
        "Set MEMORY_BYTES=1073741824 and retry 3 times in 5 minutes; see issue #123456 and RFC 8259",
        "The token bucket refills 1000 tokens; password rotation is every 90 days; secret: db-credentials-v2",
        "helm upgrade --set image.tag=v1.2.3-rc.1+build.20261125 notes ./charts/memory-operator",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b moved 2 files to engine/core/src/policy.rs:123:45",
        "Snowflake 1541815603606036480 belongs to shard 12; epoch 1609459200; build 20261125.3",
        "AWS account 123456789012 in us-east-1, arn:aws:iam::123456789012:role/reader",
        "phone home is off; the call returned 1234; mobile layout 1024x768; fax machines are not supported",
    ] {
        assert_eq!(names(policy, note), [""; 0], "{note}");
    }
}
