//! Verifies that one line follows from the previous one.

use super::fault::Fault;
use crate::digest::Hash;
use crate::format::{Envelope, Header, Seal};
use crate::limits::BATCH_EVENTS_MAX;

/// End of a chain, from which the next line must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Sequence number of the last event.
    pub seq: u64,
    /// Hash of the last line.
    pub hash: Hash,
    synced: u64,
    batch: [u32; 2],
}

impl Link {
    /// End of the chain in a segment that contains only its header.
    pub fn after_header(header: &Header, hash: Hash) -> Link {
        Link::durable(header.prev_seq, hash)
    }

    /// End of the chain after this event.
    pub fn after(envelope: &Envelope<'_>, hash: Hash) -> Link {
        Link { seq: envelope.seq, hash, synced: envelope.synced, batch: envelope.batch }
    }

    /// End of a chain in which every event is durable, as a checkpoint records it: `seq` is the last event, `hash` the
    /// hash of the last line. The next line is the first line of a new write.
    pub fn durable(seq: u64, hash: Hash) -> Link {
        Link { seq, hash, synced: seq, batch: [1, 1] }
    }

    /// Whether the last batch is complete.
    pub fn ends_batch(&self) -> bool {
        self.batch[0] == self.batch[1]
    }

    /// Checks whether an event may follow.
    ///
    /// # Errors
    ///
    /// Why it may not follow.
    pub fn check_next(&self, next: &Envelope<'_>) -> Result<(), Fault> {
        if self.seq.checked_add(1) != Some(next.seq) {
            return Err(Fault::Sequence(next.seq));
        }
        if next.prev != self.hash {
            return Err(Fault::Link);
        }
        if !self.batch_goes_on(next) {
            return Err(Fault::Batch);
        }
        // Lines of one write have the same `synced`; the first line of the next write has the last event before that
        // write.
        let same_write = next.synced == self.synced;
        let next_write = self.ends_batch() && next.synced == self.seq;
        if same_write || next_write { Ok(()) } else { Err(Fault::Synced) }
    }

    fn batch_goes_on(&self, next: &Envelope<'_>) -> bool {
        let [i, n] = next.batch;
        let counts = match self.ends_batch() {
            true => i == 1 && (1..=BATCH_EVENTS_MAX).contains(&(n as usize)),
            false => next.batch == [self.batch[0] + 1, self.batch[1]],
        };
        counts && (next.ends_batch() || next.idempotency.is_none())
    }

    /// Checks whether this seal may close the segment with this header.
    pub(super) fn check_seal(&self, seal: &Seal, header: Option<&Header>) -> Result<(), Fault> {
        if seal.last_seq != self.seq {
            return Err(Fault::Seal("last_seq"));
        }
        if seal.prev != self.hash {
            return Err(Fault::Link);
        }
        if !self.ends_batch() {
            return Err(Fault::Batch);
        }
        header.map_or(Ok(()), |header| check_seal_of(seal, header))
    }
}

/// Checks that seal and header describe the same segment.
pub(super) fn check_seal_of(seal: &Seal, header: &Header) -> Result<(), Fault> {
    let wrong = [
        ("log_id", seal.log_id != header.log_id),
        ("segment", seal.segment != header.segment),
        // A segment without events would get the same name as the next one.
        ("events", seal.events == 0 || seal.last_seq.checked_sub(header.prev_seq) != Some(seal.events)),
    ];
    wrong.into_iter().find(|(_, wrong)| *wrong).map_or(Ok(()), |(field, _)| Err(Fault::Seal(field)))
}

/// End of a sealed segment, from which the header of the next segment must follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Id of the log.
    pub log_id: String,
    /// Number of the sealed segment.
    pub segment: u64,
    /// Epoch of the segment's writer. The epoch of the next segment must not be smaller.
    pub epoch: u64,
    /// Sequence number of the last event.
    pub seq: u64,
    /// Hash of the seal.
    pub hash: Hash,
}

impl SegmentEnd {
    /// The end of a segment with this header and seal; `hash` is the hash of the seal.
    pub fn new(header: &Header, seal: &Seal, hash: Hash) -> SegmentEnd {
        let Header { log_id, segment, epoch, .. } = header;
        SegmentEnd { log_id: log_id.clone(), segment: *segment, epoch: *epoch, seq: seal.last_seq, hash }
    }
}

/// The segment end that a segment's header must follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follows {
    /// Nothing: it is the first segment of its log.
    Start,
    /// A sealed segment.
    Segment(SegmentEnd),
    /// Not known here; [`super::join`] checks it later.
    Unknown,
}

impl Follows {
    /// Checks whether this header may follow.
    ///
    /// # Errors
    ///
    /// [`Fault::Header`] with the field that does not match, or [`Fault::Link`].
    pub fn check(&self, header: &Header) -> Result<(), Fault> {
        let (log_id, segment, epoch, seq, hash) = match self {
            Follows::Unknown => return Ok(()),
            Follows::Start => (&header.log_id, 0, 0, 0, Hash::ZERO),
            Follows::Segment(end) => (&end.log_id, end.segment, end.epoch, end.seq, end.hash),
        };
        let wrong = [
            ("log_id", *log_id != header.log_id),
            ("segment", segment.checked_add(1) != Some(header.segment)),
            ("epoch", header.epoch < epoch),
            ("prev_seq", header.prev_seq != seq),
        ];
        if let Some((field, _)) = wrong.into_iter().find(|(_, wrong)| *wrong) {
            return Err(Fault::Header(field));
        }
        if header.prev == hash { Ok(()) } else { Err(Fault::Link) }
    }
}
