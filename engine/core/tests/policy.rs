//! Recall and precision of the policy on a labelled set, to catch regressions. `fixtures/policy/README.md` describes
//! the set and its origin; `scripts/policy/measure.py` measures on more data of the same kind.

use std::collections::BTreeMap;
use std::path::Path;

use engine_core::policy::{Finds, Kind, Policy, Settings};
use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct Sample {
    text: String,
    /// Start, end (exclusive, in characters) and type of each label.
    labels: Vec<(usize, usize, String)>,
}

/// Minimum share of labels per type that must be redacted completely, in percent.
const COVERED_PERCENT: [(&str, u32); 9] = [
    ("EMAIL_ADDRESS", 99),
    ("PHONE_NUMBER", 99),
    ("CREDIT_CARD", 99),
    ("IBAN_CODE", 99),
    ("US_SSN", 99),
    ("IP_ADDRESS", 99),
    ("DOMAIN_NAME", 99),
    ("US_DRIVER_LICENSE", 99),
    ("ADDRESS", ADDRESS_PERCENT),
];
/// Minimum for addresses, in percent. Streets without a number or a street word are not found.
const ADDRESS_PERCENT: u32 = 62;
/// Maximum number of matches that touch no label, per 1,000 sentences.
const STRAY_PER_THOUSAND: usize = 5;

#[expect(clippy::disallowed_methods, reason = "a test reads its fixture")]
fn samples() -> Vec<Sample> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/policy/sentences.jsonl");
    let text = std::fs::read_to_string(path).expect("the fixture is in the repository");
    text.lines().map(|line| serde_json::from_str(line).expect("the fixture is JSON")).collect()
}

fn policy(kinds: &[Kind]) -> Policy {
    let redact = Some(kinds.iter().map(|kind| kind.name()).collect());
    Policy::new(&Settings { redact, ..Settings::default() }).expect("every kind has a name")
}

/// Number of covered labels and of all labels, by type, and the number of matches that touch no label.
fn measure(policy: &Policy, samples: &[Sample]) -> (BTreeMap<String, (u32, u32)>, usize) {
    let mut scores: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut stray = 0;
    for Sample { text, labels } in samples {
        let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let found = policy.findings(text, Timestamp::UNIX_EPOCH);
        assert!(found.iter().all(|find| find.finds != Finds::Secret), "no sentence holds a secret: {text}");
        for (start, end, kind) in labels {
            let (start, end) = (offsets[*start], offsets[*end]);
            let covered = found.iter().any(|find| find.range.start <= start && end <= find.range.end);
            let score = scores.entry(kind.clone()).or_default();
            *score = (score.0 + u32::from(covered), score.1 + 1);
        }
        let touches = |range: &std::ops::Range<usize>| {
            labels.iter().any(|(start, end, _)| range.start < offsets[*end] && offsets[*start] < range.end)
        };
        stray += found.iter().filter(|find| !touches(&find.range)).count();
    }
    (scores, stray)
}

#[test]
fn personal_data_of_the_labelled_set_is_found() {
    let samples = samples();
    assert!(samples.len() >= 500, "{} sentences", samples.len());
    let (scores, stray) = measure(&policy(&Kind::ALL), &samples);
    println!("covered, labelled: {scores:?}; stray: {stray}");
    for (kind, percent) in COVERED_PERCENT {
        let (covered, labelled) = scores[kind];
        assert!(labelled > 0 && covered * 100 >= percent * labelled, "{kind}: {covered} of {labelled}");
    }
    assert!(stray * 1000 <= STRAY_PER_THOUSAND * samples.len(), "{stray} finds touch no label");
    let (blind, _) = measure(&policy(&[Kind::Iban]), &samples);
    assert_eq!(
        blind["EMAIL_ADDRESS"].0, 0,
        "only IBANs are searched for, so a policy that finds too little would fail this test"
    );
}
