//! Logs written by Zaxy, and modified copies of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::{Envelope, Refused, TranslateError, Verifier, payload, read_payload, translate};
use crate::digest::Hash;

macro_rules! logs {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../tests/fixtures/zaxy/", $name, ".jsonl")))),*]
    };
}

const LOGS: [(&str, &str); 10] = logs!(
    "golden",
    "odd_values",
    "legacy",
    "switched",
    "redacted",
    "forgettable",
    "caused",
    "long_names",
    "legacy_0_1_0",
    "compacted"
);

macro_rules! read_back {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../tests/fixtures/zaxy/", $name, ".read.json")))),*]
    };
}

/// What the package's own reader returns for the logs it wrote.
const READ_BACK: [(&str, &str); 9] = read_back!(
    "golden",
    "odd_values",
    "legacy",
    "switched",
    "redacted",
    "forgettable",
    "caused",
    "long_names",
    "compacted"
);

fn log(name: &str) -> &'static str {
    LOGS.iter().find(|(found, _)| *found == name).unwrap().1
}

/// Hashes of the events, or the index of the first refused line (from 0) and the reason.
fn verify(log: &str) -> Result<Vec<Hash>, (usize, Refused)> {
    let mut verifier = Verifier::default();
    log.lines()
        .enumerate()
        .map(|(i, line)| {
            verifier.next(line.as_bytes()).map(|event| event.record.hash).map_err(|why| (i, why))
        })
        .collect()
}

fn refused(log: &str) -> (usize, &'static str) {
    let (line, why) = verify(log).unwrap_err();
    (line, why.label())
}

#[test]
fn published_vectors_verify() {
    let expected = [
        "f4b818ba816af9264bf09f4b657b1cb085cc2cb177aa4d76b29202add897afb4",
        "2974ff4b07a63fd598ce74f4a57e86f849f53c096fab612c3e0b999cb32d2ecb",
        "085ad0614ba3788d899114b84a34af83f812f9ce17702f23be6706018ccf591b",
    ];
    let found: Vec<String> = verify(log("golden")).unwrap().iter().map(Hash::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_log_of_the_package_verifies() {
    let mut envelopes = BTreeMap::new();
    for (name, log) in LOGS {
        let hashes = verify(log).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert!(!hashes.is_empty(), "{name}");
        let mut verifier = Verifier::default();
        for line in log.lines() {
            *envelopes.entry(verifier.next(line.as_bytes()).unwrap().record.envelope).or_insert(0) += 1;
        }
    }
    assert!(envelopes[&Envelope::V1] > 10 && envelopes[&Envelope::Legacy] > 10, "{envelopes:?}");
}

/// The package's own reader returns the same events.
#[test]
fn events_are_read_as_the_package_reads_them() {
    for (name, read) in READ_BACK {
        let read: Vec<Value> = serde_json::from_str(read).unwrap();
        let mut verifier = Verifier::default();
        assert_eq!(log(name).lines().count(), read.len(), "{name}");
        for (line, theirs) in log(name).lines().zip(&read) {
            let event = verifier.next(line.as_bytes()).unwrap();
            let record = event.record;
            let mut payload: Value = serde_json::from_str(record.payload.get()).unwrap();
            if record.envelope == Envelope::V1 {
                payload.as_object_mut().unwrap().remove("__zaxy_security");
            }
            let ours = serde_json::json!({
                "seq": event.seq, "timestamp": record.timestamp, "type": record.kind, "actor": record.actor,
                "thread": record.thread, "payload": payload, "hash": record.hash,
            });
            assert_eq!(&ours, theirs, "{name}");
        }
    }
}

#[test]
fn each_kind_of_damage_has_its_reason() {
    let golden = log("golden");
    let lines: Vec<&str> = golden.lines().collect();
    let join = |lines: &[&str]| lines.join("\n");
    assert_eq!(refused(&join(&lines[1..])), (0, "sequence"), "the head is gone");
    assert_eq!(refused(&join(&[lines[0], lines[2]])), (1, "sequence"), "one is gone");
    assert_eq!(refused(&join(&[lines[0], lines[0]])), (1, "sequence"), "one is doubled");
    assert_eq!(refused(&golden.replace("Ship it", "Ship on")), (0, "hash"));
    assert_eq!(refused(&golden.replace("\"planner\"", "\"user\"")), (1, "hash"));
    assert_eq!(refused(&join(&[lines[0], &lines[1][..200]])), (1, "not_strict"), "torn");
    assert_eq!(refused(&golden.replace("\"id\":", "\"id\":1,\"id\":")), (0, "not_strict"), "twice");
    assert_eq!(refused(&golden.replace("\"Ship it\"", "NaN")), (0, "not_strict"));
    assert_eq!(refused(&golden.replace("Ship it", "\\ud800")), (0, "not_strict"), "half a character");
    assert_eq!(refused("[1]"), (0, "not_an_object"));
    assert_eq!(refused("{}"), (0, "missing_field"));
    assert_eq!(refused(&golden.replace("2026-01-02T03:04:05Z", "yesterday")), (0, "timestamp"));
    assert_eq!(refused(&golden.replace("\"causedBy\":[]", "\"causedBy\":7")), (0, "wrong_field"));
    assert_eq!(refused(&golden.replace("\"redacted_paths\":[]", "\"redacted_paths\":7")), (0, "wrong_field"));
    let legacy = log("legacy");
    assert_eq!(refused(&legacy.replace("zaxy.legacy", "zaxy.next")), (0, "unknown_envelope"));
    assert_eq!(refused(&legacy.replace("\"seq\":1,", "\"seq\":0,")), (0, "wrong_field"));
    assert_eq!(refused(&legacy.replace("\"seq\":1,", "\"seq\":\"1\",")), (0, "wrong_field"));
}

/// `zaxy compact` writes v1 events with legacy fields. Events, hashes and log stay the same.
#[test]
fn a_compacted_log_is_the_log_that_was_compacted() {
    let compacted = log("compacted");
    let mut verifier = Verifier::default();
    let mut envelopes = Vec::new();
    for line in compacted.lines() {
        let event = verifier.next(line.as_bytes()).unwrap();
        envelopes.push(event.record.envelope);
        let foreign = line.contains(r#""id":"evt-1""#);
        // No hash covers the sequence number of an event whose id was not made by Zaxy.
        assert_eq!(event.record.unsealed, if foreign { vec!["seq"] } else { vec![] }, "{line}");
    }
    assert_eq!(envelopes.iter().filter(|found| **found == Envelope::Compacted).count(), 9);
    assert_eq!(envelopes.iter().filter(|found| **found == Envelope::Legacy).count(), 2);
    let golden: Vec<Hash> = verify(log("golden")).unwrap();
    let rewritten: String = log("golden").lines().map(|line| compact(line) + "\n").collect();
    assert_eq!(verify(&rewritten).unwrap(), golden);
    let without_ids = rewritten.replace("\"id\":\"evt_zaxy_", "\"id\":null,\"x\":\"");
    assert_eq!(verify(&without_ids).unwrap(), golden, "the id Zaxy makes");
    assert_eq!(refused(&compacted.replace("again", "anew")), (0, "hash"));
    assert_eq!(refused(&compacted.replace("sensitivity\":\"public", "sensitivity\":\"none")), (0, "hash"));
    assert_eq!(refused(&compacted.replace("eventloom.v1", "eventloom.v2")), (0, "unknown_envelope"));
}

/// A v1 line with the fields that `zaxy compact` writes.
fn compact(line: &str) -> String {
    let v1: Value = serde_json::from_str(line).unwrap();
    let mut payload = v1["payload"].clone();
    let security = payload.as_object_mut().unwrap().remove("__zaxy_security");
    let id = v1["id"].as_str().unwrap();
    let hash =
        |name: &str| v1["integrity"][name].as_str().map(|hash| hash.trim_start_matches("sha256:").to_owned());
    serde_json::json!({
        "seq": id[9..21].parse::<u64>().unwrap(), "timestamp": v1["timestamp"], "type": v1["type"], "actor": v1["actorId"],
        "thread": v1["threadId"], "payload": payload, "security": security, "prev_hash": hash("previousHash"),
        "hash": hash("hash"), "id": id, "parent_event_id": v1["parentEventId"], "caused_by": v1["causedBy"],
        "envelope_version": "eventloom.v1",
    })
    .to_string()
}

/// The second event follows a different first event; each hash is correct for its own event.
#[test]
fn an_event_of_another_history_does_not_link() {
    let (one, other) = (log("legacy"), log("legacy_0_1_0"));
    let spliced = [one.lines().next().unwrap(), other.lines().nth(1).unwrap()].join("\n");
    assert_eq!(refused(&spliced), (1, "link"));
    let v1 = log("golden").lines().next().unwrap();
    let second = log("switched").lines().nth(1).unwrap();
    assert!(verify(&[v1, second].join("\n")).is_ok(), "the same first event links");
}

#[test]
fn a_first_event_has_nothing_before_it() {
    // No `security`, and a hash computed by Python: only the previous hash is wrong.
    let first = r#"{"seq":1,"timestamp":"2026-01-02T03:04:05Z","type":"a.b","actor":"x","thread":"t","payload":{},
        "prev_hash":"0000000000000000000000000000000000000000000000000000000000000000",
        "hash":"8b4b32e4feb386921232d6d479fc71464ca3266f3040860bb2823742df85c40c"}"#;
    assert_eq!(Verifier::default().next(first.as_bytes()).unwrap_err(), Refused::FirstHasPrevious);
}

#[test]
fn blanks_around_a_line_and_a_missing_prefix_change_nothing() {
    let bare = log("golden").replace("sha256:", "").replace('\n', " \r\n");
    assert_eq!(verify(&bare), verify(log("golden")));
    let inside = log("golden").replacen("{\"id\"", "{\r\"id\"", 1);
    assert_eq!(
        Verifier::default().next(inside.lines().next().unwrap().as_bytes()).unwrap_err(),
        Refused::CarriageReturn
    );
}

#[test]
fn what_no_hash_covers_is_named() {
    let told =
        log("legacy").replace("\"id\":null", "\"id\":\"x\"").replace("{\"seq\"", "{\"colour\":1,\"seq\"");
    let event = Verifier::default().next(told.lines().next().unwrap().as_bytes()).unwrap().record;
    assert_eq!(event.unsealed, ["colour", "id"]);
    let mut verifier = Verifier::default();
    for line in log("switched").lines() {
        assert_eq!(verifier.next(line.as_bytes()).unwrap().record.unsealed, Vec::<String>::new());
    }
}

#[test]
fn behind_a_gap_events_verify_one_by_one() {
    let lines: Vec<&str> = log("golden").lines().collect();
    let mut verifier = Verifier::default();
    assert!(!verifier.next(lines[0].as_bytes()).unwrap().after_gap);
    assert_eq!(verifier.next(lines[2].as_bytes()).unwrap_err(), Refused::Sequence { expected: 2, found: 3 });
    verifier.skip_gap();
    assert!(verifier.next(lines[2].as_bytes()).unwrap().after_gap);
    assert_eq!(verifier.head().unwrap().0, 3);
    verifier.skip_gap();
    assert_eq!(verifier.next(lines[1].as_bytes()).unwrap_err().label(), "sequence", "never backwards");
}

/// Every imported event can be verified again from its stored form.
#[test]
fn the_stored_form_verifies_again() {
    for (name, log) in LOGS {
        let (mut verifier, mut again) = (Verifier::default(), Verifier::default());
        for line in log.lines() {
            let event = verifier.next(line.as_bytes()).unwrap();
            let stored = translate(&event, name, event.record.hash).unwrap();
            let (source, record) = read_payload(&stored.payload).unwrap();
            assert_eq!(record.get(), line, "byte for byte");
            let found = again.next(record.get().as_bytes()).unwrap();
            assert_eq!((source.seq, source.hash), (found.seq, found.record.hash));
        }
        assert_eq!(verifier.head(), again.head(), "{name}");
    }
}

#[test]
fn what_reads_as_text_becomes_a_memory() {
    let translated = |name: &str| {
        let mut verifier = Verifier::default();
        let lines = log(name).lines();
        lines
            .map(|line| translate(&verifier.next(line.as_bytes()).unwrap(), name, Hash::ZERO).unwrap())
            .collect::<Vec<_>>()
    };
    let golden = translated("golden");
    let memory = golden[0].memory.as_ref().unwrap();
    assert_eq!(
        (memory.content.as_str(), memory.kind.as_str(), &memory.title),
        ("Ship it", "goal.created", &None)
    );
    assert_eq!(memory.tags, ["zaxy", "zaxy:f4b818ba816af926"]);
    assert_eq!(memory.occurred_at.to_string(), "2026-01-02T03:04:05Z");
    assert_eq!(golden[1].memory.as_ref().unwrap().content, "café");
    assert_eq!((golden[2].kind.as_str(), &golden[2].memory), ("zaxy.memory.reinforced", &None));
    let sealed = translated("forgettable");
    assert!(sealed[0].encrypted && sealed[0].memory.is_none() && !sealed[1].encrypted);
    let long = translated("long_names");
    assert_eq!(
        (&long[0].changed, long[0].kind.as_str()),
        (&vec!["actor", "session"], "zaxy.document.indexed")
    );
    assert_eq!((&long[1].changed, long[1].kind.as_str()), (&vec!["type"], "zaxy.event"));
    assert!(long[0].actor.starts_with("zaxy.") && long[0].actor.len() == 21);
    assert_eq!(long[0].memory.as_ref().unwrap().title.as_deref(), Some("doc.md"));
}

#[test]
fn what_does_not_fit_is_refused_and_not_cut() {
    let source = || {
        let mut verifier = Verifier::default();
        let event = verifier.next(log("golden").lines().next().unwrap().as_bytes()).unwrap();
        read_payload(&translate(&event, "g", Hash::ZERO).unwrap().payload).unwrap().0
    };
    let raw = |text: String| serde_json::value::RawValue::from_string(text).unwrap();
    let nested = |levels: usize| raw(format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert!(payload(source(), &nested(60)).is_ok());
    assert_eq!(payload(source(), &nested(61)).unwrap_err(), TranslateError::TooDeep);
    let brackets = raw(format!("\"\\\"{}\"", "[".repeat(100)));
    assert!(payload(source(), &brackets).is_ok(), "brackets in a string are no levels");
    let large = payload(source(), &raw(format!("\"{}\"", "x".repeat(1 << 20)))).unwrap_err();
    assert_eq!(large.label(), "too_large");
}

proptest! {
    /// Every change to a byte that a hash covers is detected, or the line keeps the same meaning.
    #[test]
    fn no_changed_byte_passes(which in 0..LOGS.len(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (_, text) = LOGS[which];
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte && bytes[at] != b'\n' && byte != b'\n');
        bytes[at] = byte;
        let (mut verifier, mut original) = (Verifier::default(), Verifier::default());
        for (changed, whole) in bytes.split(|byte| *byte == b'\n').zip(text.as_bytes().split(|byte| *byte == b'\n')) {
            if whole.is_empty() {
                break;
            }
            let expected = original.next(whole).unwrap();
            match verifier.next(changed) {
                Err(_) => return Ok(()),
                // Only unsealed fields, which are listed, may differ.
                Ok(found) => {
                    prop_assert_eq!(found.record.computed_hash(), expected.record.computed_hash());
                    prop_assert_eq!(found.record.hash, expected.record.hash);
                    prop_assert_eq!((found.seq, &found.record.kind), (expected.seq, &expected.record.kind));
                }
            }
        }
    }

    /// Truncated, duplicated or reordered lines never verify. The exception is a missing tail, which no Zaxy log can
    /// reveal.
    #[test]
    fn only_a_missing_tail_passes(which in 0..LOGS.len(), order in prop::collection::vec(0_usize..5, 1..5)) {
        let lines: Vec<&str> = LOGS[which].1.lines().collect();
        prop_assume!(order.iter().all(|i| *i < lines.len()));
        let picked: Vec<&str> = order.iter().map(|i| lines[*i]).collect();
        let in_order = order.iter().copied().eq(0..order.len());
        prop_assert_eq!(verify(&picked.join("\n")).is_ok(), in_order);
    }

    /// No input makes the reader panic.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = Verifier::default().next(&bytes);
    }
}
