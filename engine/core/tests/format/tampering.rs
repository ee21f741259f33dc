//! Deliberate changes to a log of several segments, and the fault as which each is detected.

use engine_core::digest::Hash;
use engine_core::format::{Header, Seal};
use engine_core::recovery::Verdict;

use crate::log::{Log, id, lines, long_sample};
use crate::segments::{audit, labels, read};

pub(crate) type Segments = Vec<(u64, Vec<u8>)>;

/// Checks the first breach of an audit. The check at startup must stop in the same segment, unless only the complete
/// log reveals the fault.
#[track_caller]
fn check(segments: &Segments, expected: (usize, &str, u64)) {
    let joined = audit(segments);
    assert_eq!(labels(&joined).first(), Some(&expected), "{joined:?}");
    assert_eq!(joined.tree, None);
    if !["root", "erasure"].contains(&expected.1) {
        let (scans, ..) = read(segments);
        let last = scans.last().unwrap();
        assert!(matches!(last.verdict, Verdict::Corrupt(_)), "{last:?}");
        assert_eq!(scans.len(), expected.0 + 1);
    }
}

fn changed(change: impl FnOnce(&mut Segments)) -> Segments {
    let mut segments = long_sample().segments();
    change(&mut segments);
    segments
}

/// Rewrites the header of a segment, with a correct hash.
fn with_header(index: usize, change: impl FnOnce(&mut Header)) -> Segments {
    changed(|all| {
        let bytes = &all[index].1;
        let first = lines(bytes)[0];
        let (mut header, _) = Header::decode(first.strip_suffix(b"\n").unwrap()).unwrap();
        change(&mut header);
        all[index].1 = [header.encode().0.as_slice(), &bytes[first.len()..]].concat();
    })
}

/// Rewrites the seal of a segment, with a correct hash.
fn with_seal(index: usize, change: impl FnOnce(&mut Seal)) -> Segments {
    changed(|all| {
        let bytes = &all[index].1;
        let last = *lines(bytes).last().unwrap();
        let (mut seal, _) = Seal::decode(last.strip_suffix(b"\n").unwrap()).unwrap();
        change(&mut seal);
        all[index].1 = [&bytes[..bytes.len() - last.len()], seal.encode().0.as_slice()].concat();
    })
}

#[test]
fn segments_cannot_be_dropped_swapped_or_taken_from_another_log() {
    check(&changed(|all| drop(all.remove(0))), (0, "header", 0));
    check(&changed(|all| drop(all.remove(1))), (1, "header", 0));
    check(&changed(|all| all.swap(0, 1)), (0, "header", 0));
    check(&changed(|all| all.insert(1, all[1].clone())), (2, "header", 0));
    let other = Log::named("ffffffffffffffffffffffffffffffff");
    let other = other
        .group(&[&["{}", "{}", "{}", "{}", "{}", "{}", "{}"]])
        .rotate()
        .group(&[&["{}"], &["{}"]])
        .rotate();
    check(&changed(|all| all[1] = other.sealed[1].clone()), (1, "header", 0));
    // A file under a wrong name.
    let joined = audit(&changed(|all| all[1].0 = 9));
    assert_eq!(labels(&joined), [(1, "header", 0)]);
}

#[test]
fn headers_cannot_be_edited() {
    check(&with_header(1, |header| header.segment = 3), (1, "header", 0));
    check(&with_header(1, |header| header.epoch = 0), (1, "header", 0));
    check(&with_header(1, |header| header.prev_seq = 6), (1, "header", 0));
    check(&with_header(1, |header| header.log_id = "f".repeat(32)), (1, "header", 0));
    check(&with_header(1, |header| header.prev = Hash::ZERO), (1, "link", 0));
    check(&with_header(0, |header| header.prev = Hash::of(b"x")), (0, "link", 0));
    check(&with_header(0, |header| header.segment = 2), (0, "header", 0));
    // A field that cannot be checked against earlier lines is still covered by the hash that the next line names.
    check(&with_header(1, |header| header.epoch = 2), (1, "link", 8));
    check(
        &with_header(2, |header| header.created = "2030-01-01T00:00:00Z".parse().unwrap()),
        (2, "link", 10),
    );
}

#[test]
fn seals_cannot_be_edited_dropped_or_forged() {
    check(&with_seal(0, |seal| seal.segment = 2), (0, "seal", 8));
    check(&with_seal(0, |seal| seal.events = 6), (0, "seal", 8));
    check(&with_seal(0, |seal| seal.last_seq = 6), (0, "seal", 8));
    check(&with_seal(0, |seal| seal.log_id = "f".repeat(32)), (0, "seal", 8));
    check(&with_seal(0, |seal| seal.prev = Hash::ZERO), (0, "link", 8));
    check(&with_seal(0, |seal| seal.sealed = "2030-01-01T00:00:00Z".parse().unwrap()), (1, "link", 0));
    // A seal has a wrong root, and everything after the seal follows from it.
    let log = Log::new().group(&[&["{}"], &["{}"]]);
    let forged = Seal { root: Hash::of(b"another"), ..log.seal() };
    let log = log.rotate_with(&forged).group(&[&["{}"]]);
    check(&log.segments(), (0, "root", 0));
    let unsealed = changed(|all| {
        let last = lines(&all[1].1).last().unwrap().len();
        let len = all[1].1.len() - last;
        all[1].1.truncate(len);
    });
    check(&unsealed, (1, "unsealed", 10));
    check(&changed(|all| all[1].1.extend(b"more\n")), (1, "after_seal", 10));
    let twice = changed(|all| {
        let seal = lines(&all[0].1).last().unwrap().to_vec();
        all[0].1.extend(seal);
    });
    check(&twice, (0, "after_seal", 8));
    // A segment is sealed in the middle of a batch.
    let log = Log::new().group(&[&["{}", "{}"]]);
    let bytes: usize = lines(&log.bytes)[..2].iter().map(|line| line.len()).sum();
    let half = engine_core::recovery::scan(&log.bytes[..bytes], |_| {}).unwrap();
    assert_eq!(half.events, 0);
    let first =
        engine_core::format::EventLine::decode(lines(&log.bytes)[1].strip_suffix(b"\n").unwrap()).unwrap();
    let seal = Seal { events: 1, last_seq: 1, prev: first.hash, ..log.seal() };
    check(&vec![(1, [&log.bytes[..bytes], &seal.encode().0].concat()), (2, Vec::new())], (0, "batch", 2));
}

#[test]
fn a_payload_is_missing_only_with_an_event_that_says_so() {
    // No event records the erasure.
    check(&long_sample().forget(3, 9).segments(), (0, "erasure", 3));
    // The event that the line names is not an erasure event, or does not exist.
    check(&long_sample().forget(1, 8).segments(), (0, "erasure", 1));
    check(&long_sample().forget(1, 99).segments(), (0, "erasure", 1));
    // An erasure event before its target, and one that was itself forgotten.
    let act = |target: u64| format!(r#"{{"targets":["{}"],"reason":"r"}}"#, id(target));
    let log = Log::new().group(&[&[&act(2)], &["{}"]]).rotate().forget(2, 1).group(&[&["{}"]]);
    check(&log.segments(), (0, "erasure", 2));
    let log = Log::new().group(&[&["{}"], &[&act(1)], &[&act(2)]]).rotate();
    let log = log.group(&[&["{}"]]);
    assert_eq!(labels(&audit(&log.clone().forget(1, 2).segments())), []);
    check(&log.forget(1, 2).forget(2, 3).segments(), (0, "erasure", 1));
}

#[test]
fn every_hash_stays_when_a_payload_is_forgotten() {
    let (before, after) = (crate::log::sample().rotate(), crate::log::sample().rotate().forget(2, 9));
    let texts = [&before, &after].map(|log| String::from_utf8(log.sealed[0].1.clone()).unwrap());
    assert!(texts[0].contains(r#"{"n":1.50}"#) && !texts[1].contains(r#"{"n":1.50}"#));
    let [before, after] = [&before, &after].map(|log| read(&log.segments()));
    assert_eq!((before.1, &before.0[0].seal), (after.1, &after.0[0].seal));
}
