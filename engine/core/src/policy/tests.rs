//! Tests of the policy: matches and non-matches of each detector, payloads, properties, and speed.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::checker::*;
use super::detectors::*;
use super::finding::*;
use super::*;
use crate::digest::Hash;
use crate::event::Draft;

mod example_texts;
mod examples;
mod identifiers;
mod payloads;
mod properties;
mod speed;
mod syntax;

use example_texts::joined;

pub(super) const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// A policy with all detectors enabled.
pub(super) fn everything() -> &'static Policy {
    static POLICY: LazyLock<Policy> = LazyLock::new(|| {
        let redact = Some(Kind::ALL.iter().map(|kind| kind.name()).collect());
        Policy::new(&Settings { redact, ..Settings::default() }).unwrap()
    });
    &POLICY
}

pub(super) fn default() -> &'static Policy {
    static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::new(&Settings::default()).unwrap());
    &POLICY
}

/// A policy that refuses personal data in identifiers.
pub(super) fn refusing() -> Policy {
    Policy::new(&Settings { identifiers: Identifiers::Refuse, ..Settings::default() }).unwrap()
}

fn names(policy: &Policy, text: &str) -> Vec<&'static str> {
    policy.findings(text, NOW).iter().map(|finding| finding.detector).collect()
}

#[track_caller]
fn check(policy: &Policy, text: &str, redacted: &str) {
    let judged = policy.judge_text("content", text, NOW).unwrap();
    assert_eq!(judged.changed.as_deref().unwrap_or(text), redacted);
    assert_eq!(judged.changed.is_some(), text != redacted, "what is clean is not copied");
}

#[test]
fn what_is_on_by_default() {
    let policy = default();
    check(policy, "write to ana@example.org or +41 44 668 18 00", "write to [EMAIL] or [PHONE]");
    check(policy, "she lives at 12 Long Street, Springfield, IL 62704.", "she lives at [ADDRESS].");
    check(
        policy,
        "Dr. Jones looked at https://grafana.internal/d/1 and 10.0.3.17",
        "Dr. Jones looked at https://grafana.internal/d/1 and 10.0.3.17",
    );
    check(everything(), "Dr. Jones looked at 10.0.3.17", "Dr. [NAME] looked at [IP]");
}

#[test]
fn finds_that_overlap_are_one() {
    let policy = everything();
    check(policy, "see https://shop.example.com/?mail=ana@example.org now", "see [URL] now");
    let counts = policy.judge_text("content", "a@b.io, c@d.io, +41446681800", NOW).unwrap().counts;
    assert_eq!(counts.iter().collect::<Vec<_>>(), [("content", Kind::Email, 2), ("content", Kind::Phone, 1)]);
    assert_eq!(counts.total(), 3);
}

#[test]
fn evasions_are_seen_through() {
    let policy = default();
    check(policy, "card ４１１１ １１１１ １１１１ １１１１!", "card [CREDIT_CARD]!");
    check(policy, "4111\u{200b}1111\u{ad}1111\u{feff}1111", "[CREDIT_CARD]");
    check(policy, "4111\u{a0}1111\u{2009}1111\u{202f}1111", "[CREDIT_CARD]");
    check(policy, "ssn 219\u{2011}09\u{2212}9999", "ssn [SSN]");
    check(policy, "ana\u{ff20}example\u{2024}org", "[EMAIL]");
    check(policy, "我的邮箱ana@example.org好", "我的邮箱[EMAIL]好");
    let key = joined(&["gl", "pat-\u{200d}x7Kq2", "Zt9Lw4Rb8Nc1Vm5"]);
    assert_eq!(policy.judge_text("content", &key, NOW).unwrap_err().detector, "gitlab-token");
}

#[test]
fn a_refusal_says_where_and_never_what() {
    let secret = joined(&["hun", "ter2-X9!"]);
    let text = format!("password={secret}");
    let blocked = default().judge_text("tags[1]", &text, NOW).unwrap_err();
    assert_eq!((blocked.detector, blocked.field.as_str()), ("password-assignment", "tags[1]"));
    let email = refusing().judge_draft(payloads::draft("ana@example.org", "x", "{}"), None, NOW).unwrap_err();
    let IdentifierError::Blocked(email) = email else { panic!("{email:?}") };
    let judged = default().judge_text("content", "ana@example.org", NOW).unwrap();
    let said = format!("{blocked} {blocked:?} {email} {email:?} {judged:?} {:?}", default());
    assert!(!said.contains(&secret) && !said.contains("ana@"), "{said}");
    assert!(
        said.contains("tags[1] holds a secret (password-assignment)")
            && said.contains("project holds personal data (email)")
            && said.contains("set policy.identifiers to Pseudonymise"),
        "{said}"
    );
}

fn exception(value: &str, expires: Option<&str>) -> Exception {
    Exception {
        detector: "email".into(),
        sha256: None,
        value: Some(value.into()),
        reason: "the address everybody writes to".into(),
        reviewer: "platform team".into(),
        expires: expires.map(|time| time.parse().unwrap()),
    }
}

fn with(exceptions: Vec<Exception>) -> Result<Policy, Vec<PolicyFault>> {
    Policy::new(&Settings { exceptions, ..Settings::default() })
}

#[test]
fn an_exception_lets_one_text_through_until_it_ends() {
    let policy = with(vec![exception("help@example.org", Some("2026-01-01T00:00:00Z"))]).unwrap();
    let judge =
        |text: &str, now: &str| policy.judge_text("content", text, now.parse().unwrap()).unwrap().changed;
    assert_eq!(judge("help@example.org", "2025-12-31T23:59:59Z"), None);
    assert_eq!(judge("help@example.org", "2026-01-01T00:00:00Z").as_deref(), Some("[EMAIL]"));
    assert_eq!(judge("xhelp@example.org", "2025-01-01T00:00:00Z").as_deref(), Some("[EMAIL]"));
    let by_hash = Exception {
        sha256: Some(crate::digest::hex(&Hash::of(b"help@example.org").0)),
        value: None,
        ..exception("", None)
    };
    check(&with(vec![by_hash]).unwrap(), "help@example.org", "help@example.org");
    assert!(!format!("{:?}", exception("help@example.org", None)).contains("help@"));
}

#[test]
fn a_configuration_with_a_fault_is_refused_whole() {
    let good = exception("a", None);
    let none = |exception: Exception| with(vec![good.clone(), exception]).unwrap_err();
    assert!(with(vec![good.clone()]).is_ok());
    assert!(matches!(
        none(Exception { detector: "emial".into(), ..good.clone() })[..],
        [PolicyFault::Unknown { .. }]
    ));
    assert_eq!(none(Exception { value: None, ..good.clone() }), [PolicyFault::Matched(1)]);
    assert_eq!(
        none(Exception { sha256: Some("00".repeat(32)), ..good.clone() }),
        [PolicyFault::Matched(1)],
        "one of both"
    );
    assert_eq!(
        none(Exception { sha256: Some("xy".into()), value: None, ..good.clone() }),
        [PolicyFault::Matched(1)]
    );
    assert_eq!(none(Exception { reviewer: " ".into(), ..good.clone() }), [PolicyFault::Unreviewed(1)]);
    assert_eq!(with(vec![good; 257]).unwrap_err(), [PolicyFault::Exceptions(257)]);
    let named = |block: &[&str], redact: &[&str]| {
        let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        Policy::new(&Settings { block: list(block), redact: list(redact), ..Settings::default() })
    };
    assert_eq!(named(&["jwt", "jwt"], &["faces", "email"]).unwrap_err().len(), 2);
    let policy = named(&[], &["email"]).unwrap();
    check(
        &policy,
        "password=hunter2X and a@b.io and +41446681800",
        "password=hunter2X and [EMAIL] and +41446681800",
    );
}

#[test]
fn settings_are_read_strictly() {
    let read = serde_json::from_str::<Settings>;
    assert_eq!(read("{}").unwrap(), Settings::default());
    assert!(read(r#"{"redact": ["email"], "exceptions": [{"detector": "email", "value": "a@b.io", "reason": "r", "reviewer": "w"}]}"#).is_ok());
    assert!(
        read(r#"{"identifiers": "Keep"}"#).unwrap().identifiers == Identifiers::Keep
            && read(r#"{"identifiers": "keep"}"#).is_err()
            && read(r#"{"redcat": []}"#).is_err()
            && read(r#"{"exceptions": [{"detector": "email"}]}"#).is_err()
    );
}

#[test]
fn names_are_told_apart_once_and_documented() {
    let all: Vec<&str> = detectors().map(|detector| detector.name).collect();
    let unique: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(unique.len(), all.len(), "a name stands for one detector");
    let page = include_str!("../../../../docs/guide/policy.md");
    let rows = |heading: &str| {
        let section = page
            .split_once(&format!("\n## {heading}\n"))
            .map_or("", |(_, rest)| rest.split("\n## ").next().unwrap_or_default());
        section.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect::<Vec<_>>()
    };
    let row = |detector: &Detector| match detector.finds {
        Finds::Secret => format!("| `{}` | {} |", detector.name, detector.about.replace('|', "\\|")),
        Finds::Personal(kind) => format!(
            "| `{}` | `{}` | {} |",
            detector.name,
            kind.placeholder(),
            detector.about.replace('|', "\\|")
        ),
    };
    let (secrets, personal): (Vec<_>, Vec<_>) =
        detectors().partition(|detector| detector.finds == Finds::Secret);
    let table = |detectors: Vec<&'static Detector>| detectors.into_iter().map(row).collect::<Vec<_>>();
    assert_eq!(rows("Secrets"), table(secrets), "docs/guide/policy.md should say:\n");
    assert_eq!(rows("Personal data"), table(personal), "docs/guide/policy.md should say:\n");
}
