use serde_json::value::RawValue;

use super::*;
use crate::archive::cipher::KEY_BYTES;
use crate::event::Draft;
use crate::format::Unsealed;
use crate::recovery::Link;

const LOG: &str = "0123456789abcdef0123456789abcdef";
const FORGETTING: &str = "ffffffffffffffffffffffffffffffff";

/// The lines of a segment: header, events, seal. The payloads are of all sizes.
fn segment() -> Vec<Vec<u8>> {
    let created = Timestamp::UNIX_EPOCH;
    let (header, hash) = Header::first(LOG.into(), created).encode();
    let (mut lines, mut link) = (vec![header], Link::durable(0, hash));
    for number in 0..40_u8 {
        let text = "kettle ".repeat(usize::from(number) * 7);
        let payload = RawValue::from_string(format!("{{\"content\":\"{number} {text}\"}}")).unwrap();
        let draft = Draft {
            kind: "memory.saved".into(),
            actor: "a".into(),
            project: "p".into(),
            session: None,
            causes: Vec::new(),
            payload,
        };
        let id = crate::digest::time_ordered_id(u64::from(number), [number; 10]);
        let event = Unsealed {
            draft: &draft,
            id,
            time: created,
            salt: Salt([number; 16]),
            batch: [1, 1],
            idempotency: None,
        };
        let mut line = Vec::new();
        link = event.seal_after(&link, link.seq, &mut line);
        lines.push(line);
    }
    let seal = Seal {
        segment: 1,
        log_id: LOG.into(),
        events: 40,
        last_seq: 40,
        prev: link.hash,
        root: Hash::of(b"root"),
        sealed: created,
    };
    lines.push(seal.encode().0);
    lines
}

fn keys() -> impl FnMut() -> PayloadKey {
    let mut number = 0_u8;
    move || {
        number += 1;
        PayloadKey([number; KEY_BYTES])
    }
}

fn made(lines: &[Vec<u8>]) -> Made {
    make(Extent::Segment, LOG, 3, &lines.concat(), keys()).unwrap()
}

fn restored(made: &Made, keys: &KeyTable, until: u64) -> (Vec<u8>, Restored) {
    let piece = Piece::decode(&made.name, LOG, &made.bytes).unwrap();
    let mut out = Vec::new();
    let restored = piece.restore(keys, until, &mut out).unwrap();
    (out, restored)
}

#[test]
fn every_cut_of_a_segment_is_restored_byte_for_byte() {
    let lines = segment();
    for (from, to) in [(0, 42), (0, 2), (0, 20), (1, 41), (7, 9), (20, 42), (40, 42)] {
        let made = made(&lines[from..to]);
        assert_eq!(PieceName::parse(&made.name.to_string()).as_ref(), Some(&made.name));
        let (out, restored) = restored(&made, &made.keys, u64::MAX);
        assert!(out == lines[from..to].concat(), "lines {from} to {to}");
        assert_eq!((restored.whole, restored.forgotten), (made.keys.rows.len() as u64, 0));
        let readable = made.bytes.windows(6).any(|window| window == b"kettle");
        assert!(!readable, "no payload can be read without a key");
    }
    // What follows begins where the piece ends.
    let (first, second) = (made(&lines[..20]), made(&lines[20..]));
    assert_eq!((first.name.last_seq + 1, first.name.last), (second.name.first_seq, second.name.prev));
}

#[test]
fn a_restore_ends_at_the_event_that_is_asked_for() {
    let lines = segment();
    let made = made(&lines);
    for until in [1, 20, 39] {
        let (out, _) = restored(&made, &made.keys, until);
        assert!(out == lines[..=usize::try_from(until).unwrap()].concat(), "until {until}");
    }
    assert!(restored(&made, &made.keys, 40).0 == lines.concat(), "the last event, and the seal");
}

#[test]
fn what_is_forgotten_cannot_be_restored_and_the_piece_stays_as_it_is() {
    let mut lines = segment();
    // One was forgotten before the piece was made, one is forgotten after.
    let before = &lines[5][..lines[5].len() - 1];
    lines[5] = [&crate::format::forget(before, FORGETTING).unwrap()[..], b"\n"].concat();
    let made = made(&lines);
    let mut keys = made.keys.clone();
    assert_eq!(keys.forget(&[(9, FORGETTING.into())]), 1);
    let (out, restored) = restored(&made, &keys, u64::MAX);
    assert_eq!((restored.whole, restored.forgotten), (38, 2));
    let line = &lines[10][..lines[10].len() - 1];
    lines[10] = [&crate::format::forget(line, FORGETTING).unwrap()[..], b"\n"].concat();
    assert!(out == lines.concat(), "both lines are as the log has them after a forgetting");
}

/// Whether every hash in the lines is right.
fn is_intact(lines: &[u8]) -> bool {
    let is_line = |line: &[u8]| EventLine::decode(line).is_ok() || Header::decode(line).is_ok();
    lines.strip_suffix(b"\n").is_some_and(|lines| lines.split(|byte| *byte == b'\n').all(is_line))
}

#[test]
fn a_piece_that_was_changed_is_never_taken() {
    let lines = segment();
    let made = made(&lines[..6]);
    for place in 0..made.bytes.len() {
        let mut changed = made.bytes.clone();
        changed[place] ^= 1;
        assert_eq!(Piece::decode(&made.name, LOG, &changed).unwrap_err(), PieceFault::Changed);
        assert!(Piece::decode(&made.name, LOG, &made.bytes[..place]).is_err());
        // Somebody who can also change the name still cannot make up an event: whoever opens the log notices.
        let name = PieceName { sha256: Hash::of(&changed), ..made.name.clone() };
        let Ok(piece) = Piece::decode(&name, LOG, &changed) else { continue };
        let mut out = Vec::new();
        let keys = KeyTable { piece: name.sha256, ..made.keys.clone() };
        if piece.restore(&keys, u64::MAX, &mut out).is_ok() {
            assert!(out == lines[..6].concat() || !is_intact(&out), "byte {place}");
        }
    }
    let other = "f".repeat(32);
    assert_eq!(Piece::decode(&made.name, &other, &made.bytes).unwrap_err(), PieceFault::Log);
    let renamed = PieceName { epoch: 4, ..made.name.clone() };
    assert_eq!(Piece::decode(&renamed, LOG, &made.bytes).unwrap_err(), PieceFault::Name);
}

#[test]
fn lines_that_do_not_follow_are_not_archived() {
    let lines = segment();
    let make = |lines: &[&[Vec<u8>]]| make(Extent::Tail, LOG, 1, &lines.concat().concat(), keys());
    assert_eq!(make(&[&lines[..3], &lines[4..6]]).unwrap_err(), PieceFault::Order(4));
    assert_eq!(make(&[&lines[..3], &lines[41..]]).unwrap_err(), PieceFault::Order(4));
    assert_eq!(make(&[&lines[40..], &lines[40..41]]).unwrap_err(), PieceFault::Order(3));
    assert_eq!(make(&[&lines[..1]]).unwrap_err(), PieceFault::Form, "no event");
    let mut damaged = lines.clone();
    damaged[2][20] ^= 1;
    assert!(matches!(make(&[&damaged]).unwrap_err(), PieceFault::Line { line: 3, .. }));
    assert_eq!(
        super::make(Extent::Tail, &"f".repeat(32), 1, &lines.concat(), keys()).unwrap_err(),
        PieceFault::Log
    );
}
