use jiff::Timestamp;
use serde_json::value::RawValue;

use super::*;
use crate::digest::Salt;
use crate::event::Draft;
use crate::format::Unsealed;
use crate::recovery::Fault;

const LOG: &str = "0123456789abcdef0123456789abcdef";

/// A log of three segments, line by line: 4 batches of 2 events, a seal, 4 batches, a seal, 2 batches.
struct Log {
    lines: Vec<Vec<u8>>,
}

struct Writer {
    lines: Vec<Vec<u8>>,
    header: Header,
    link: Link,
    tree: Frontier,
}

impl Writer {
    fn batch(&mut self, kind: &str, payload: &str) {
        let synced = self.link.seq;
        for place in 1..=2 {
            let draft = Draft {
                kind: kind.into(),
                actor: "a".into(),
                project: "p".into(),
                session: None,
                causes: Vec::new(),
                payload: RawValue::from_string(payload.to_owned()).unwrap(),
            };
            let event = Unsealed {
                draft: &draft,
                id: crate::digest::time_ordered_id(self.link.seq, [place; 10]),
                time: Timestamp::UNIX_EPOCH,
                salt: Salt([place; 16]),
                batch: [place.into(), 2],
                idempotency: None,
            };
            let mut line = Vec::new();
            self.link = event.seal_after(&self.link, synced, &mut line);
            self.tree.push(leaf(&self.link.hash), &mut Vec::new());
            self.lines.push(line);
        }
    }

    fn rotate(&mut self) {
        let seal = Seal {
            segment: self.header.segment,
            log_id: LOG.into(),
            events: self.link.seq - self.header.prev_seq,
            last_seq: self.link.seq,
            prev: self.link.hash,
            root: self.tree.root(),
            sealed: Timestamp::UNIX_EPOCH,
        };
        let (line, hash) = seal.encode();
        self.lines.push(line);
        self.header = Header {
            segment: self.header.segment + 1,
            prev_seq: self.link.seq,
            prev: hash,
            ..self.header.clone()
        };
        let (line, hash) = self.header.encode();
        self.link = Link::after_header(&self.header, hash);
        self.lines.push(line);
    }
}

fn log() -> Log {
    let header = Header::first(LOG.into(), Timestamp::UNIX_EPOCH);
    let (line, hash) = header.encode();
    let link = Link::after_header(&header, hash);
    let mut writer = Writer { lines: vec![line], header, link, tree: Frontier::empty() };
    for segment in 0..3 {
        (0..if segment < 2 { 4 } else { 2 })
            .for_each(|_| writer.batch("memory.saved", "{\"content\":\"kettle\"}"));
        if segment < 2 {
            writer.rotate();
        }
    }
    Log { lines: writer.lines }
}

/// A copy in memory: what the steps have made of it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Copy {
    bytes: Vec<u8>,
    end: Option<End>,
    hashes: Vec<Hash>,
}

impl Copy {
    fn tree(&self) -> Frontier {
        let mut tree = Frontier::empty();
        self.hashes.iter().for_each(|hash| tree.push(leaf(hash), &mut Vec::new()));
        tree
    }

    fn seq(&self) -> u64 {
        self.end.as_ref().map_or(0, |end| end.link.seq)
    }

    fn carry_out(&mut self, steps: Vec<Step<'_>>) {
        for step in steps {
            match step {
                Step::Begin { header, hash, line } => {
                    let link = Link::after_header(&header, hash);
                    self.bytes.extend_from_slice(line);
                    self.end = Some(End { header, header_hash: hash, link, len: line.len() as u64 });
                }
                Step::Events(Events { lines, hashes, end: link, .. }) => {
                    self.bytes.extend_from_slice(lines);
                    let end = self.end.as_mut().unwrap();
                    (end.link, end.len) = (link, end.len + lines.len() as u64);
                    self.hashes.extend(hashes);
                }
                Step::Seal { line } => self.bytes.extend_from_slice(line),
            }
        }
    }

    fn offer(&mut self, lines: &[u8], head_seq: u64) -> Result<bool, Broken> {
        let answer = Answer { log_id: LOG, head_seq, has_end: true, lines };
        let (end, tree) = (self.end.clone(), self.tree());
        let Decision::Append(steps) = decide(end.as_ref(), &tree, &answer)? else { return Ok(false) };
        self.carry_out(steps);
        Ok(true)
    }
}

/// The copy of the first `count` lines.
fn copy_of(log: &Log, count: usize) -> Copy {
    let mut copy = Copy::default();
    copy.offer(&log.lines[..count].concat(), 20).unwrap();
    copy
}

#[test]
fn a_copy_is_the_same_bytes_however_the_lines_are_cut_into_answers() {
    let log = log();
    let whole = log.lines.concat();
    for cut in (0..=whole.len()).step_by(3) {
        let mut copy = Copy::default();
        copy.offer(&whole[..cut], 20).unwrap();
        assert!(whole.starts_with(&copy.bytes), "only lines of the log");
        assert!(copy.seq().is_multiple_of(2), "never a part of a batch: {}", copy.seq());
        let rest = whole[copy.bytes.len()..].to_vec();
        copy.offer(&rest, 20).unwrap();
        assert_eq!((copy.bytes == whole, copy.seq()), (true, 20), "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_never_gets_into_a_copy() {
    let log = log();
    let whole = log.lines.concat();
    for place in (0..whole.len()).step_by(2) {
        for bit in [0, 5] {
            let mut changed = whole.clone();
            changed[place] ^= 1 << bit;
            let mut copy = Copy::default();
            // Either the chain is broken, or the bytes look like an unfinished line and are asked for again.
            let _outcome = copy.offer(&changed, 20);
            assert!(whole.starts_with(&copy.bytes), "byte {place} of {}", whole.len());
        }
    }
}

#[test]
fn lines_out_of_order_break_the_chain() {
    let log = log();
    for first in 0..log.lines.len() {
        for second in 0..log.lines.len() {
            let mut lines = log.lines.clone();
            let moved = lines.remove(first);
            lines.insert(second, moved.clone());
            if lines == log.lines {
                continue;
            }
            let mut copy = Copy::default();
            let _outcome = copy.offer(&lines.concat(), 20);
            assert!(log.lines.concat().starts_with(&copy.bytes), "{first} to {second}");
            lines.remove(second);
            lines.insert(first, moved.clone());
            lines.insert(second, moved);
            let mut copy = Copy::default();
            let outcome = copy.offer(&lines.concat(), 20);
            assert!(log.lines.concat().starts_with(&copy.bytes), "{first} again at {second}");
            assert!(outcome.is_err() || copy.bytes.len() < lines.concat().len(), "{first} again at {second}");
        }
    }
}

#[test]
fn another_log_a_rollback_and_a_fork_are_told_apart() {
    let log = log();
    let copy = copy_of(&log, 5);
    let (end, tree) = (copy.end.as_ref(), copy.tree());
    let answer = Answer { log_id: LOG, head_seq: 20, has_end: true, lines: b"" };
    let found = |answer: &Answer<'_>| match decide(end, &tree, answer) {
        Ok(Decision::Wait) => "wait",
        Ok(Decision::AskAgain) => "ask again",
        Ok(Decision::Append(_)) => "append",
        Err(broken) => broken.label(),
    };
    assert_eq!(found(&answer), "wait");
    assert_eq!(found(&Answer { log_id: "another", ..answer }), "other_log");
    assert_eq!(found(&Answer { head_seq: 3, ..answer }), "rolled_back");
    assert_eq!(found(&Answer { has_end: false, ..answer }), "forked");
    assert_eq!(found(&Answer { lines: &log.lines[6], ..answer }), "line");
    assert_eq!(found(&Answer { lines: &log.lines[5], ..answer }), "ask again", "half of a batch");
    let empty =
        decide(None, &Frontier::empty(), &Answer { log_id: "another", lines: &log.lines[0], ..answer });
    assert_eq!(empty.map_err(|broken| broken.label()), Err("other_log"), "the header is of another log");
}

#[test]
fn a_seal_comes_with_the_header_that_follows_it_and_has_the_root_of_the_events() {
    let log = log();
    let copy = copy_of(&log, 9);
    let decided = |tree: &Frontier, lines: &[u8]| {
        let answer = Answer { log_id: LOG, head_seq: 20, has_end: true, lines };
        let decision = decide(copy.end.as_ref(), tree, &answer).map_err(|broken| broken.to_string());
        decision.map(|decision| match decision {
            Decision::Append(steps) => steps.len(),
            _ => 0,
        })
    };
    assert_eq!(decided(&copy.tree(), &log.lines[9]), Ok(0), "a seal alone");
    assert_eq!(decided(&copy.tree(), &log.lines[9..11].concat()), Ok(2), "a seal and a header");
    let other = decided(&Frontier::empty(), &log.lines[9..11].concat());
    assert!(other.unwrap_err().contains(&Fault::Root.to_string()));
}

#[test]
fn an_erasure_is_known_by_the_event_before_its_batch() {
    let header = Header::first(LOG.into(), Timestamp::UNIX_EPOCH);
    let (line, hash) = header.encode();
    let link = Link::after_header(&header, hash);
    let mut writer = Writer { lines: vec![line], header, link, tree: Frontier::empty() };
    writer.batch("memory.saved", "{}");
    writer.batch(MEMORY_FORGOTTEN, "{\"targets\":[\"one\"],\"seqs\":[1],\"reason\":\"\"}");
    let whole = writer.lines.concat();
    let answer = Answer { log_id: LOG, head_seq: 4, has_end: true, lines: &whole };
    let Ok(Decision::Append(steps)) = decide(None, &Frontier::empty(), &answer) else { panic!("appended") };
    let [_, Step::Events(events)] = &steps[..] else { panic!("{steps:?}") };
    let targets = vec!["one".to_owned(), "one".to_owned()];
    assert_eq!(events.erasures, [Erasure { after: 2, targets }], "one for the batch");
}
