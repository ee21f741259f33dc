//! Group commit: events that become durable with one write and one sync.

use engine_core::digest::{Hash, Salt, time_ordered_id};
use engine_core::event::{Draft, Idempotency};
use engine_core::fold::Request;
use engine_core::format::Unsealed;
use engine_core::recovery::Link;

use super::commit::{Key, Receipt, Reply};
use crate::clock::Clock;

/// Maximum bytes per group. In a larger group the first client would wait too long until the bytes of the other clients
/// are written.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Maximum events per group, to limit the projection's transaction.
const GROUP_EVENTS_MAX: usize = 4096;

/// Lines that will become durable together.
#[derive(Debug)]
pub(super) struct Group {
    /// Number of the last durable event before the group.
    durable_seq: u64,
    pub(super) link: Link,
    pub(super) lines: Vec<u8>,
    /// Hashes of the events, in order.
    pub(super) hashes: Vec<Hash>,
    pub(super) acks: Vec<(Reply, Receipt)>,
}

impl Group {
    pub(super) fn after(durable: Link) -> Group {
        let (lines, hashes, acks) = (Vec::new(), Vec::new(), Vec::new());
        Group { durable_seq: durable.seq, link: durable, lines, hashes, acks }
    }

    pub(super) fn has_room(&self) -> bool {
        self.lines.len() < GROUP_BYTES_MAX && self.hashes.len() < GROUP_EVENTS_MAX
    }

    /// Appends one batch. Returns the receipt of the batch, and the request to remember under the idempotency key.
    pub(super) fn push(
        &mut self,
        drafts: &[Draft],
        mut key: Option<Key>,
        sources: &Clock,
    ) -> (Receipt, Option<Request>) {
        let count = u32::try_from(drafts.len()).expect("a batch is checked to be small");
        let first_seq = self.link.seq + 1;
        let mut receipt =
            Receipt { id: String::new(), first_seq, last_seq: 0, hash: Hash::ZERO, replayed: false };
        let mut request = None;
        for (place, draft) in (1..).zip(drafts) {
            let time = sources.now();
            let id = time_ordered_id(time.as_millisecond().unsigned_abs(), sources.bytes());
            let salt = Salt(sources.bytes());
            let bound = if place == count { key.take() } else { None };
            let idempotency = bound.map(|key| Idempotency::new(key.key, salt, &key.request));
            receipt.id.clone_from(&id);
            let unsealed =
                Unsealed { draft, id, time, salt, batch: [place, count], idempotency: idempotency.clone() };
            self.seal(unsealed);
            receipt.last_seq = self.link.seq;
            receipt.hash = self.link.hash;
            request = idempotency.map(|idempotency| (idempotency, salt));
        }
        let request = request.map(|(idempotency, salt)| {
            let Receipt { id, first_seq, last_seq, hash, .. } = receipt.clone();
            Request { idempotency, salt, id, first_seq, last_seq, hash }
        });
        (receipt, request)
    }

    fn seal(&mut self, unsealed: Unsealed<'_>) {
        self.link = unsealed.seal_after(&self.link, self.durable_seq, &mut self.lines);
        self.hashes.push(self.link.hash);
    }
}
