//! The log's format from outside: fixtures, every prefix, every flipped bit, and a verifier in another language.
#![expect(clippy::unwrap_used, reason = "a failing unwrap fails the test, which is what it is for")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests may do what pure code may not"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine_core::digest::{Hash, Salt, time_ordered_id};
use engine_core::event::{Draft, Idempotency};
use engine_core::format::{EventLine, Header, Unsealed, segment_file_name};
use engine_core::recovery::{Fault, Link, Scan, Verdict, scan};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::value::RawValue;

/// A log under construction, with every input fixed by its position: the same calls give the same bytes.
struct Log {
    bytes: Vec<u8>,
    link: Link,
    /// Length and last event after each whole batch, the empty log first.
    ends: Vec<(usize, u64)>,
    synced: u64,
    /// Where each group starts that was written with one write.
    groups: Vec<usize>,
}

impl Log {
    fn new() -> Log {
        let header = Header::first("0123456789abcdef0123456789abcdef".into(), time(0));
        let (bytes, hash) = header.encode();
        let link = Link::after_header(&header, hash);
        Log { ends: vec![(bytes.len(), 0)], bytes, link, synced: 0, groups: Vec::new() }
    }

    /// Writes these batches with one write.
    fn group(mut self, batches: &[&[&str]]) -> Log {
        self.groups.push(self.bytes.len());
        for payloads in batches {
            let n = u32::try_from(payloads.len()).unwrap();
            for (i, payload) in (1..).zip(*payloads) {
                self.event(payload, [i, n]);
            }
            self.ends.push((self.bytes.len(), self.link.seq));
        }
        self.synced = self.link.seq;
        self
    }

    fn event(&mut self, payload: &str, batch: [u32; 2]) {
        let seq = self.link.seq + 1;
        let byte = u8::try_from(seq).unwrap();
        let draft = Draft {
            kind: "note.taken".into(),
            actor: "anonymous".into(),
            project: "café 🦀".into(),
            session: seq.is_multiple_of(2).then(|| "s-1".into()),
            causes: seq.is_multiple_of(3).then(|| time_ordered_id(1, [1; 10])).into_iter().collect(),
            payload: RawValue::from_string(payload.into()).unwrap(),
        };
        let salt = Salt([byte; 16]);
        let keyed = batch[0] == batch[1] && seq % 2 == 1;
        let unsealed = Unsealed {
            draft: &draft,
            id: time_ordered_id(seq, [byte; 10]),
            time: time(seq),
            salt,
            batch,
            idempotency: keyed.then(|| Idempotency::new(format!("key-{seq}"), salt, b"request")),
        };
        self.link = unsealed.seal_after(&self.link, self.synced, &mut self.bytes);
    }

    /// The last whole batch that ends at or before this length.
    fn end_before(&self, len: usize) -> Option<(usize, u64)> {
        self.ends.iter().rev().find(|(end, _)| *end <= len).copied()
    }
}

fn time(seq: u64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + i64::try_from(seq).unwrap()).unwrap()
}

fn sample() -> Log {
    Log::new()
        .group(&[&[r#"{"text":"one"}"#]])
        .group(&[&[r#"{"n":1.50}"#, r#"{"n":[1e3,-0,null]}"#, "{}"], &[r#"{"é":"\u0000\n🦀"}"#]])
        .group(&[&[r#"{"a":{"a":{"b":true}}}"#, r#"{"last":"line"}"#]])
}

fn judge(bytes: &[u8]) -> Scan {
    scan(bytes, |_| {}).expect("memory does not fail")
}

fn seq_of(scan: &Scan) -> u64 {
    scan.head.map_or(0, |head| head.seq)
}

fn check_corrupt(bytes: &[u8], label: &str, seq: u64) {
    match judge(bytes).verdict {
        Verdict::Corrupt(breach) => assert_eq!((breach.reason.label(), breach.seq), (label, seq), "{breach}"),
        other => panic!("expected {label} at event {seq}, found {other:?}"),
    }
}

/// Lines with their line feeds.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

#[test]
fn a_whole_log_is_clean() {
    let log = sample();
    let found = judge(&log.bytes);
    assert_eq!(found.verdict, Verdict::Clean);
    assert_eq!((found.events, found.valid_len), (7, log.bytes.len() as u64));
    assert_eq!(found.head, Some(log.link));
}

#[test]
fn every_prefix_ends_after_a_whole_batch() {
    let log = sample();
    for len in 0..log.bytes.len() {
        let found = judge(&log.bytes[..len]);
        let (valid, seq) = log.end_before(len).unwrap_or((0, 0));
        let expected = match valid == len {
            true => Verdict::Clean,
            false => Verdict::TornTail { valid_len: valid as u64, torn_bytes: (len - valid) as u64 },
        };
        let expected = if len == 0 { Verdict::TornTail { valid_len: 0, torn_bytes: 0 } } else { expected };
        assert_eq!((found.verdict.clone(), seq_of(&found)), (expected, seq), "first {len} bytes");
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let log = sample();
    let last_group = *log.groups.last().unwrap();
    for at in 0..log.bytes.len() {
        for bit in 0..8 {
            let mut bytes = log.bytes.clone();
            bytes[at] ^= 1 << bit;
            match judge(&bytes).verdict {
                Verdict::Corrupt(breach) => assert!(breach.byte <= at as u64),
                Verdict::TornTail { valid_len, .. } => {
                    assert!(valid_len <= at as u64 && at >= last_group, "byte {at} bit {bit} was durable");
                }
                Verdict::Clean => panic!("byte {at} bit {bit} went unnoticed"),
            }
        }
    }
}

#[test]
fn a_flip_in_the_last_line_is_damage_and_not_a_torn_write() {
    let log = sample();
    let last_line = log.bytes.len() - lines(&log.bytes).last().unwrap().len();
    for at in last_line..log.bytes.len() {
        let mut bytes = log.bytes.clone();
        bytes[at] ^= 1;
        assert!(matches!(judge(&bytes).verdict, Verdict::Corrupt(_)), "byte {at}");
    }
}

#[test]
fn zeros_behind_the_log_are_torn() {
    let log = sample();
    for zeros in [1, 511, 4096, 20 << 20] {
        let bytes = [log.bytes.clone(), vec![0; zeros]].concat();
        let valid_len = log.bytes.len() as u64;
        assert_eq!(judge(&bytes).verdict, Verdict::TornTail { valid_len, torn_bytes: zeros as u64 });
        let alone = judge(&vec![0; zeros]);
        assert_eq!(alone.verdict, Verdict::TornTail { valid_len: 0, torn_bytes: zeros as u64 });
    }
}

/// Pages of the last write arrive in any order; pages of an earlier one had all arrived.
#[test]
fn a_hole_is_torn_in_the_last_write_and_damage_before_it() {
    let big = format!(r#"{{"text":"{}"}}"#, "x".repeat(3000));
    let three: &[&str] = &[&big, &big, &big];
    let batches: Vec<&[&str]> = three.iter().map(std::slice::from_ref).collect();
    let log = Log::new().group(&batches).group(&batches);
    let hole = |from: usize| {
        let start = from.next_multiple_of(512);
        let mut bytes = log.bytes.clone();
        bytes[start..start + 1024].fill(0);
        bytes
    };
    check_corrupt(&hole(log.groups[0] + 100), "frame", 1);
    let torn = judge(&hole(log.groups[1] + 100));
    assert_eq!(seq_of(&torn), 3);
    let valid_len = log.groups[1] as u64;
    let torn_bytes = (log.bytes.len() - log.groups[1]) as u64;
    assert_eq!(torn.verdict, Verdict::TornTail { valid_len, torn_bytes });
}

#[test]
fn lines_cannot_be_moved() {
    let log = sample();
    let all = lines(&log.bytes);
    let without = |i: usize| [&all[..i], &all[i + 1..]].concat().concat();
    let twice = |i: usize| [&all[..=i], &all[i..]].concat().concat();
    let swapped = |i: usize| {
        let mut lines = all.clone();
        lines.swap(i, i + 1);
        lines.concat()
    };
    check_corrupt(&without(0), "frame", 0);
    check_corrupt(&without(1), "sequence", 1);
    check_corrupt(&without(4), "sequence", 4);
    check_corrupt(&twice(2), "sequence", 3);
    check_corrupt(&swapped(5), "sequence", 5);
    check_corrupt(&[all[0], &log.bytes].concat(), "frame", 1);
}

/// A rewritten event carries a right hash of its own; the next line tells.
#[test]
fn a_rewritten_event_breaks_the_chain() {
    let log = sample();
    let forged = Log::new().group(&[&[r#"{"text":"two"}"#]]);
    let rest = &lines(&log.bytes)[2..];
    check_corrupt(&[forged.bytes.as_slice(), &rest.concat()].concat(), "link", 2);
}

/// Seals an envelope that a correct writer would never write.
fn sealed(envelope: &str, payload: &str) -> Vec<u8> {
    let hash = Hash::of(envelope.as_bytes());
    let salt = Salt([7; 16]);
    format!("{{\"event\":{envelope},\"hash\":\"{hash}\",\"salt\":\"{salt}\",\"payload\":{payload}}}\n")
        .into_bytes()
}

fn check_line(change: impl Fn(String) -> String, payload: &str, label: &str) {
    let log = Log::new();
    let commitment = Hash::salted(Salt([7; 16]), payload.as_bytes());
    let envelope = format!(
        "{{\"seq\":1,\"id\":\"{}\",\"time\":\"2026-01-01T00:00:00Z\",\"type\":\"t\",\"actor\":\"a\",\"project\":\"p\",\
         \"batch\":[1,1],\"synced\":0,\"prev\":\"{}\",\"payload_sha256\":\"{commitment}\"}}",
        time_ordered_id(1, [1; 10]),
        log.link.hash
    );
    let bytes = [log.bytes, sealed(&change(envelope), payload)].concat();
    if label == "clean" {
        assert_eq!(judge(&bytes).verdict, Verdict::Clean);
    } else {
        check_corrupt(&bytes, label, 1);
    }
}

#[test]
fn a_right_hash_does_not_excuse_a_wrong_form() {
    check_line(|e| e, "{}", "clean");
    check_line(|e| e.replace(r#""seq":1,"#, r#""seq":1,"seq":1,"#), "{}", "envelope");
    check_line(|e| e.replace(r#""seq":1,"#, r#""seq":1,"more":1,"#), "{}", "envelope");
    check_line(|e| e.replace(r#""actor":"a","#, ""), "{}", "envelope");
    check_line(|e| e.replace("[1,1]", "[1,1001]"), "{}", "batch");
    check_line(|e| e.replace("[1,1]", "[2,2]"), "{}", "batch");
    check_line(|e| e.replace("[1,1]", "[0,0]"), "{}", "batch");
    check_line(|e| e.replace(r#""synced":0"#, r#""synced":1"#), "{}", "synced");
    check_line(|e| e.replace(r#""seq":1"#, r#""seq":2"#), "{}", "sequence");
    check_line(|e| e, r#"{"a":1,"a":2}"#, "payload");
    check_line(|e| e, r#"{"a":NaN}"#, "payload");
    check_line(|e| e, r#"{"a":1e999}"#, "payload");
    check_line(|e| e, "[]", "frame");
    check_line(|e| e, "{} ", "frame");
    check_line(|e| e.replace(r#""payload_sha256":"#, r#""payload_sha256" : "#), "{}", "clean");
}

#[test]
fn another_format_is_refused_by_name() {
    let header = Header { format: "memory-log/2".into(), ..Header::first("0".repeat(32), time(0)) };
    let found = judge(&header.encode().0);
    let Verdict::Corrupt(breach) = found.verdict else { panic!("{found:?}") };
    assert_eq!(breach.reason.label(), "unknown_format");
    assert!(breach.to_string().contains("memory-log/2"), "{breach}");
    assert!(matches!(breach.reason, Fault::Line(_)));
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-v1")
}

/// What was written once is read for ever, and is still what is written.
#[test]
fn the_fixture_is_read_and_written() {
    let stored = fs::read(fixtures().join(segment_file_name(1))).expect("the fixture is in the repository");
    assert_eq!(judge(&stored).verdict, Verdict::Clean);
    assert_eq!(String::from_utf8_lossy(&stored), String::from_utf8_lossy(&sample().bytes));
    let mut payloads = Vec::new();
    scan(stored.as_slice(), |found| payloads.push(found.event.payload().unwrap().to_owned())).unwrap();
    assert_eq!(payloads[1], r#"{"n":1.50}"#);
}

/// The Python program of docs/FORMAT.md.
struct Verifier {
    _directory: tempfile::TempDir,
    program: PathBuf,
    log: PathBuf,
}

impl Verifier {
    fn new() -> Verifier {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/FORMAT.md");
        let document = fs::read_to_string(document).expect("the document is in the repository");
        let (_, program) = document.split_once("```python\n").expect("it has the program");
        let (program, _) = program.split_once("```").expect("which ends");
        assert!(program.lines().count() <= 60, "few lines are its point");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("verify.py");
        fs::write(&path, program).unwrap();
        Verifier { program: path, log: directory.path().join("log.jsonl"), _directory: directory }
    }

    fn accepts(&self, bytes: &[u8]) -> (bool, String) {
        fs::write(&self.log, bytes).unwrap();
        let ran =
            Command::new("python3").arg(&self.program).arg(&self.log).output().expect("python3 is there");
        let error = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(error, "", "the verifier itself failed");
        (ran.status.success(), String::from_utf8_lossy(&ran.stdout).into_owned())
    }
}

#[test]
fn an_independent_verifier_agrees() {
    let verifier = Verifier::new();
    let log = sample();
    let (accepted, said) = verifier.accepts(&log.bytes);
    assert!(
        accepted && said.contains(&format!("7 events, last hash {}, 0 unfinished", log.link.hash)),
        "{said}"
    );
    let (accepted, said) = verifier.accepts(&log.bytes[..log.bytes.len() - 9]);
    assert!(accepted && said.starts_with("6 events"), "{said}");
    for (i, line) in lines(&log.bytes).iter().enumerate() {
        let offset: usize = lines(&log.bytes)[..i].iter().map(|line| line.len()).sum();
        for part in [line.len() / 8, line.len() / 2, line.len() - 4] {
            let mut bytes = log.bytes.clone();
            bytes[offset + part] ^= 1;
            let (accepted, said) = verifier.accepts(&bytes);
            assert!(!accepted, "byte {} went unnoticed: {said}", offset + part);
        }
    }
}

fn payload() -> impl Strategy<Value = String> {
    "[a-z0-9 éß🦀]{0,40}".prop_map(|text| format!("{{\"text\":\"{text}\"}}"))
}

fn any_log() -> impl Strategy<Value = Log> {
    let batch = prop::collection::vec(payload(), 1..4);
    let group = prop::collection::vec(batch, 1..3);
    prop::collection::vec(group, 0..5).prop_map(|groups| {
        groups.iter().fold(Log::new(), |log, group| {
            let batches: Vec<Vec<&str>> =
                group.iter().map(|batch| batch.iter().map(String::as_str).collect()).collect();
            log.group(&batches.iter().map(Vec::as_slice).collect::<Vec<_>>())
        })
    })
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_cut_anywhere_keeps_every_batch_before_it(log in any_log(), at in any::<prop::sample::Index>()) {
        let len = at.index(log.bytes.len() + 1);
        let found = judge(&log.bytes[..len]);
        prop_assert!(!matches!(found.verdict, Verdict::Corrupt(_)));
        let (valid, seq) = log.end_before(len).unwrap_or((0, 0));
        prop_assert_eq!((found.valid_len, seq_of(&found)), (valid as u64, seq));
    }

    #[test]
    fn one_other_byte_anywhere_is_noticed(
        log in any_log(), at in any::<prop::sample::Index>(), change in 1_u8..=255,
    ) {
        let at = at.index(log.bytes.len());
        let mut bytes = log.bytes.clone();
        bytes[at] ^= change;
        prop_assert!(judge(&bytes).verdict != Verdict::Clean);
    }

    #[test]
    fn what_follows_is_never_taken_for_an_event(log in any_log(), tail in prop::collection::vec(any::<u8>(), 1..300)) {
        let found = judge(&[log.bytes.as_slice(), &tail].concat());
        prop_assert!(found.verdict != Verdict::Clean);
        prop_assert_eq!(seq_of(&found), log.link.seq);
    }

    #[test]
    fn no_line_makes_the_reader_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(EventLine::decode(&line).is_err());
        prop_assert!(Header::decode(&line).is_err());
    }
}
