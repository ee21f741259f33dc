//! Black-box tests of a single segment: every prefix, every flipped bit, malformed lines of every kind.

use engine_core::digest::{Hash, Salt, time_ordered_id};
use engine_core::format::{EventLine, Header};
use engine_core::recovery::{Fault, Scan, Verdict, scan};
use proptest::prelude::*;

use crate::log::{Log, lines, sample, time};

pub(crate) fn judge(bytes: &[u8]) -> Scan {
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

/// A lone line feed in a sector that was never written is an unfinished write; anywhere else it is corruption.
#[test]
fn a_line_feed_alone_in_a_lost_sector_is_torn() {
    let log = |filler: usize| {
        let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(filler));
        Log::new().group(&[&["{}"]]).group(&[&[&text]])
    };
    let len = |filler| log(filler).bytes.len();
    let filler = (0..1024).find(|filler| len(*filler) % 512 == 1).unwrap();
    for (filler, is_torn) in [(filler, true), (filler + 1, false)] {
        let Log { mut bytes, groups, .. } = log(filler);
        *bytes.last_mut().unwrap() = 0;
        let verdict = judge(&bytes).verdict;
        let valid_len = groups[1] as u64;
        let torn = Verdict::TornTail { valid_len, torn_bytes: bytes.len() as u64 - valid_len };
        assert_eq!(verdict == torn, is_torn, "{verdict:?}");
    }
}

/// The pages of the last write reach the disk in any order; the pages of earlier writes were all written before.
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

/// The hash of a rewritten event can be recomputed; the next line reveals the change.
#[test]
fn a_rewritten_event_breaks_the_chain() {
    let log = sample();
    let forged = Log::new().group(&[&[r#"{"text":"two"}"#]]);
    let rest = &lines(&log.bytes)[2..];
    check_corrupt(&[forged.bytes.as_slice(), &rest.concat()].concat(), "link", 2);
}

/// Returns an event line with this envelope and payload and correct hashes, although a correct writer would never write
/// them.
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
