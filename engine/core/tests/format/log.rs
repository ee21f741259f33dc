//! Builds logs for the tests.

use engine_core::digest::{Hash, Salt, time_ordered_id};
use engine_core::event::{Draft, Idempotency, MEMORY_FORGOTTEN};
use engine_core::format::{EventLine, Header, Seal, Unsealed, forget};
use engine_core::merkle::{self, Frontier};
use engine_core::recovery::Link;
use jiff::Timestamp;
use serde_json::value::RawValue;

/// A log under construction. Every input depends only on its position: the same calls give the same bytes.
#[derive(Clone)]
pub(crate) struct Log {
    /// The open segment.
    pub(crate) bytes: Vec<u8>,
    pub(crate) link: Link,
    /// Length and last event after each complete batch of the open segment, starting with the length of its header.
    pub(crate) ends: Vec<(usize, u64)>,
    synced: u64,
    /// Start offset of each group of batches that was written with one write.
    pub(crate) groups: Vec<usize>,
    pub(crate) header: Header,
    /// Sealed segments, with the sequence number of their first event.
    pub(crate) sealed: Vec<(u64, Vec<u8>)>,
    pub(crate) tree: Frontier,
    pub(crate) stored: Vec<Hash>,
}

impl Log {
    pub(crate) fn new() -> Log {
        Log::named("0123456789abcdef0123456789abcdef")
    }

    pub(crate) fn named(log_id: &str) -> Log {
        let header = Header::first(log_id.into(), time(0));
        let (bytes, hash) = header.encode();
        Log {
            ends: vec![(bytes.len(), 0)],
            bytes,
            link: Link::after_header(&header, hash),
            synced: 0,
            groups: Vec::new(),
            header,
            sealed: Vec::new(),
            tree: Frontier::empty(),
            stored: Vec::new(),
        }
    }

    /// Adds these batches to the log with one write.
    pub(crate) fn group(mut self, batches: &[&[&str]]) -> Log {
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
        let byte = seq.to_le_bytes()[0];
        let forgets = payload.starts_with("{\"targets\"");
        let draft = Draft {
            kind: if forgets { MEMORY_FORGOTTEN } else { "note.taken" }.into(),
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
            id: id(seq),
            time: time(seq),
            salt,
            batch,
            idempotency: keyed.then(|| Idempotency::new(format!("key-{seq}"), salt, b"request")),
        };
        self.link = unsealed.seal_after(&self.link, self.synced, &mut self.bytes);
        self.tree.push(merkle::leaf(&self.link.hash), &mut self.stored);
    }

    /// The seal that would close the segment now.
    pub(crate) fn seal(&self) -> Seal {
        Seal {
            segment: self.header.segment,
            log_id: self.header.log_id.clone(),
            events: self.link.seq - self.header.prev_seq,
            last_seq: self.link.seq,
            prev: self.link.hash,
            root: self.tree.root(),
            sealed: time(self.link.seq),
        }
    }

    pub(crate) fn rotate(self) -> Log {
        let seal = self.seal();
        self.rotate_with(&seal)
    }

    /// Closes the segment with this seal and starts the next one.
    pub(crate) fn rotate_with(mut self, seal: &Seal) -> Log {
        let (line, hash) = seal.encode();
        self.bytes.extend(line);
        let first_seq = self.header.prev_seq + 1;
        self.sealed.push((first_seq, std::mem::take(&mut self.bytes)));
        let header = Header {
            segment: self.header.segment + 1,
            prev_seq: self.link.seq,
            prev: hash,
            created: time(self.link.seq),
            ..self.header
        };
        let (bytes, hash) = header.encode();
        self.link = Link::after_header(&header, hash);
        self.synced = self.link.seq;
        self.ends = vec![(bytes.len(), self.link.seq)];
        self.groups = Vec::new();
        Log { bytes, header, ..self }
    }

    /// Removes the payload of an event in a sealed segment.
    pub(crate) fn forget(mut self, seq: u64, by: u64) -> Log {
        for (_, bytes) in &mut self.sealed {
            let rewritten = lines(bytes).into_iter().map(|line| {
                let bare = line.strip_suffix(b"\n").unwrap();
                match EventLine::decode(bare) {
                    Ok(event) if event.envelope.seq == seq => {
                        [forget(bare, &id(by)).unwrap().as_slice(), b"\n"].concat()
                    }
                    _ => line.to_vec(),
                }
            });
            *bytes = rewritten.collect::<Vec<_>>().concat();
        }
        self
    }

    /// All segments, with the sequence number of their first event.
    pub(crate) fn segments(&self) -> Vec<(u64, Vec<u8>)> {
        let mut segments = self.sealed.clone();
        segments.push((self.header.prev_seq + 1, self.bytes.clone()));
        segments
    }

    /// The last complete batch that ends at or before this length of the open segment.
    pub(crate) fn end_before(&self, len: usize) -> Option<(usize, u64)> {
        self.ends.iter().rev().find(|(end, _)| *end <= len).copied()
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

pub(crate) fn id(seq: u64) -> String {
    time_ordered_id(seq, [seq.to_le_bytes()[0]; 10])
}

pub(crate) fn time(seq: u64) -> Timestamp {
    Timestamp::from_second(1_760_000_000 + i64::try_from(seq).unwrap()).unwrap()
}

/// Lines, including their line feeds.
pub(crate) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

/// One segment with batches, groups, escapes and every optional field.
pub(crate) fn sample() -> Log {
    Log::new()
        .group(&[&[r#"{"text":"one"}"#]])
        .group(&[&[r#"{"n":1.50}"#, r#"{"n":[1e3,-0,null]}"#, "{}"], &[r#"{"é":"\u0000\n🦀"}"#]])
        .group(&[&[r#"{"a":{"a":{"b":true}}}"#, r#"{"last":"line"}"#]])
}

/// Three segments; event 9 records that event 2 was forgotten.
pub(crate) fn long_sample() -> Log {
    let targets = format!(r#"{{"targets":["{}"],"reason":"asked to"}}"#, id(2));
    let log = sample().rotate();
    let log = log.group(&[&[r#"{"text":"eight"}"#], &[&targets]]).forget(2, 9);
    let log = log.rotate().group(&[&[r#"{"text":"ten"}"#], &["{}", "{}"]]).group(&[&[r#"{"text":"last"}"#]]);
    assert_eq!((log.link.seq, log.sealed.len()), (13, 2));
    log
}
