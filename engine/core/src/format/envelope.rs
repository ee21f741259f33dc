//! The hashed part of an event's line.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cursor::Cursor;
use crate::digest::Hash;
use crate::event::Idempotency;

/// The hashed part of an event's line. Read from a line that this engine wrote, it borrows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope<'a> {
    /// Sequence number, from 1, without gaps.
    pub seq: u64,
    /// Id of the event.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// When the engine accepted it.
    pub time: Timestamp,
    /// Kind of event.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Who did it.
    #[serde(borrow)]
    pub actor: Cow<'a, str>,
    /// What it belongs to.
    #[serde(borrow)]
    pub project: Cow<'a, str>,
    /// The conversation it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Cow<'a, str>>,
    /// Ids of the events it follows from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cow<'a, str>>,
    /// `[i, n]`: the i-th of n events that became durable together. A log that ends inside a batch ends before it.
    pub batch: [u32; 2],
    /// Last event that was durable when this line was written. A line that names a later event as durable proves
    /// that damage before it is damage and not a write that never finished.
    pub synced: u64,
    /// On the last event of a batch that came with an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// Hash of the line before.
    pub prev: Hash,
    /// SHA-256 of salt and payload.
    pub payload_sha256: Hash,
}

impl<'a> Envelope<'a> {
    /// Whether the batch is whole with this event.
    pub fn ends_batch(&self) -> bool {
        self.batch[0] == self.batch[1]
    }

    /// Sequence number of the first event of the batch.
    pub fn batch_first_seq(&self) -> u64 {
        (self.seq + 1).saturating_sub(u64::from(self.batch[0]))
    }

    /// Reads an envelope from the start of `text` as this engine writes it: fields in their order, nothing escaped. Answers
    /// how long it is as well. None means nothing but that serde has to read it.
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
