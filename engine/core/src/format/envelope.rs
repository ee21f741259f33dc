//! The hashed part of an event's line.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use crate::digest::Hash;
use crate::event::Idempotency;

/// The hashed part of an event's line. When read from a line that this engine wrote, it borrows from that line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope<'a> {
    /// Sequence number, from 1, without gaps.
    pub seq: u64,
    /// Id of the event.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// When the engine accepted the event.
    pub time: Timestamp,
    /// Event type.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Actor that caused the event.
    #[serde(borrow)]
    pub actor: Cow<'a, str>,
    /// Project of the event.
    #[serde(borrow)]
    pub project: Cow<'a, str>,
    /// Session of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Cow<'a, str>>,
    /// Ids of the events that caused this event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cow<'a, str>>,
    /// `[i, n]`: the i-th of n events that became durable together. If a log ends inside a batch, the partial batch
    /// does not count.
    pub batch: [u32; 2],
    /// Sequence number of the last event that was durable when this line was written. If a later line names an event as
    /// durable, a fault at or before that event is damage and not an unfinished write.
    pub synced: u64,
    /// Set on the last event of a batch that was sent with an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// Hash of the previous line.
    pub prev: Hash,
    /// SHA-256 of salt and payload.
    pub payload_sha256: Hash,
}

impl<'a> Envelope<'a> {
    /// Whether this event completes its batch.
    pub fn ends_batch(&self) -> bool {
        self.batch[0] == self.batch[1]
    }

    /// Sequence number of the first event of the batch.
    pub fn batch_first_seq(&self) -> u64 {
        (self.seq + 1).saturating_sub(u64::from(self.batch[0]))
    }

    /// Parses the envelope at the start of `text` if it has the form that this engine writes: fields in order, no
    /// escapes. Returns the envelope and its length. None means that serde must parse it, not that it is invalid.
    pub(super) fn read_plain(text: &'a str) -> Option<(Envelope<'a>, usize)> {
        let mut cursor = Cursor::new(text);
        cursor.skip("{\"seq\":")?;
        let seq = cursor.number()?;
        cursor.skip(",\"id\":")?;
        let id = cursor.string()?;
        cursor.skip(",\"time\":")?;
        let time = cursor.string()?.parse().ok()?;
        cursor.skip(",\"type\":")?;
        let kind = cursor.string()?;
        cursor.skip(",\"actor\":")?;
        let actor = cursor.string()?;
        cursor.skip(",\"project\":")?;
        let project = cursor.string()?;
        let session = cursor.optional(",\"session\":", Cursor::string)?;
        let causes = cursor.optional(",\"causes\":", Cursor::strings)?;
        cursor.skip(",\"batch\":[")?;
        let i = u32::try_from(cursor.number()?).ok()?;
        cursor.skip(",")?;
        let n = u32::try_from(cursor.number()?).ok()?;
        cursor.skip("],\"synced\":")?;
        let synced = cursor.number()?;
        let idempotency = cursor.optional(",\"idempotency\":", read_idempotency)?;
        cursor.skip(",\"prev\":")?;
        let prev = cursor.hash()?;
        cursor.skip(",\"payload_sha256\":")?;
        let payload_sha256 = cursor.hash()?;
        cursor.skip("}")?;
        let envelope = Envelope {
            seq,
            id: Cow::Borrowed(id),
            time,
            kind: Cow::Borrowed(kind),
            actor: Cow::Borrowed(actor),
            project: Cow::Borrowed(project),
            session: session.map(Cow::Borrowed),
            causes: causes.unwrap_or_default(),
            batch: [i, n],
            synced,
            idempotency,
            prev,
            payload_sha256,
        };
        Some((envelope, cursor.read()))
    }
}

fn read_idempotency(cursor: &mut Cursor<'_>) -> Option<Idempotency> {
    cursor.skip("{\"key\":")?;
    let key = cursor.string()?.to_owned();
    cursor.skip(",\"request_sha256\":")?;
    let request_sha256 = cursor.hash()?;
    cursor.skip("}")?;
    Some(Idempotency { key, request_sha256 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digest::Salt;
    use crate::format::cut_object;

    /// Text of an envelope with these values, as the engine writes it.
    fn written(seq: u64, texts: [&str; 4], session: bool, causes: usize, keyed: bool) -> String {
        let [kind, actor, project, key] = texts.map(str::to_owned);
        let envelope = Envelope {
            seq,
            id: "00112233445566778899aabbccddeeff".into(),
            time: Timestamp::new(1_760_000_000, 120_000_000).expect("a time"),
            kind: kind.into(),
            actor: actor.into(),
            project: project.into(),
            session: session.then(|| "s-1".into()),
            causes: vec!["00112233445566778899aabbccddeeff".into(); causes],
            batch: [1, 1],
            synced: seq / 2,
            idempotency: keyed.then(|| Idempotency::new(key, Salt([1; 16]), b"request")),
            prev: Hash::of(b"line"),
            payload_sha256: Hash::of(b"payload"),
        };
        serde_json::to_string(&envelope).expect("a struct is JSON")
    }

    /// Checks that the fast parser gives the same result as serde if it succeeds. Returns whether it succeeded.
    fn agree(text: &str) -> bool {
        let Some((envelope, len)) = Envelope::read_plain(text) else { return false };
        assert_eq!(cut_object(text), Some(&text[..len]), "{text}");
        assert_eq!(serde_json::from_str::<Envelope<'_>>(&text[..len]).expect(text), envelope);
        true
    }

    #[test]
    fn what_the_engine_writes_is_read_quickly() {
        for (session, causes, keyed) in
            [(false, 0, false), (true, 0, false), (true, 1, true), (false, 3, true)]
        {
            assert!(agree(&written(7, ["t", "actor", "café 🦀", "k"], session, causes, keyed)));
        }
        assert!(
            !agree(&written(7, ["t", "an \"actor\"", "p", "k"], false, 0, false)),
            "escapes are left to serde"
        );
        for (from, to) in
            [("\"seq\":7", "\"seq\":07"), ("[1,1]", "[1,4294967296]"), ("\"seq\":7", "\"seq\": 7")]
        {
            assert!(!agree(&written(7, ["t", "a", "p", "k"], false, 0, false).replace(from, to)), "{to}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

        /// Also tests texts with bytes replaced, removed or duplicated.
        #[test]
        fn the_quick_and_the_thorough_reader_agree(
            seq in any::<u64>(),
            texts in prop::array::uniform4("[a-z\"\\\\é🦀\u{1} ]{0,9}"),
            shape in (any::<bool>(), 0_usize..3, any::<bool>()),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..4, "[\"0-9a-f,:{}\\[\\] .eZ\\\\-]{0,2}"), 0..3),
        ) {
            let texts = texts.each_ref().map(String::as_str);
            let mut text = written(seq, texts, shape.0, shape.1, shape.2);
            for (at, removed, inserted) in edits {
                let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
                let first = at.index(places.len());
                let end = places[(first + removed).min(places.len() - 1)];
                text.replace_range(places[first]..end, &inserted);
            }
            agree(&text);
        }
    }
}
