//! Reads a memory that was just saved from the tail of the log, before the projection has it.

use engine_core::digest::hex;
use engine_core::fold::{Change, Memory, fold};
use engine_core::format::EventLine;
use engine_core::row::microseconds;
use engine_core::wire::{MemoryView, Validity};
use jiff::Timestamp;

use super::handle::{Operations, SEQ_MAX};

impl Operations {
    /// Returns the memory if its event is durable but not yet applied to the projection, and no other unapplied event
    /// can change the result. In all other cases the caller has to read the projection.
    pub(super) fn fresh(&self, id: &str, now: Timestamp) -> Option<MemoryView> {
        let engine = &self.engine;
        // The head is read first. Events that are applied between the two reads are then in the lines as well.
        let head = engine.published.head_seq();
        let applied = engine.projection.applied_seq();
        if applied >= head || engine.published.readable_through() < SEQ_MAX {
            return None;
        }
        let groups = engine.log_handles.context.tail.between(applied, head)?;
        let is_named = |lines: &[u8]| std::str::from_utf8(lines).is_ok_and(|lines| lines.contains(id));
        if !groups.iter().any(|lines| is_named(lines)) {
            return None;
        }
        let mut found = None;
        for line in groups.iter().flat_map(|lines| lines.split(|byte| *byte == b'\n')) {
            if line.is_empty() {
                continue;
            }
            for change in fold(&EventLine::decode(line).ok()?).ok()? {
                match change {
                    Change::PutMemory(memory) if memory.id == id => found = Some(memory),
                    Change::PutInvalidation(_)
                    | Change::PutFeedback(_)
                    | Change::PutForgotten(_)
                    | Change::Forget(_) => return None,
                    _ => {}
                }
            }
        }
        // The names of entities depend on other events, so a memory with entities is read from the projection instead.
        found
            .filter(|memory| memory.payload.entities.is_empty() && memory.valid_from <= now)
            .map(|memory| view(*memory, head))
    }
}

fn view(memory: Memory, head: u64) -> MemoryView {
    let Memory { seq, id, hash, project, actor, session, created_at, occurred_at, valid_from, payload } =
        memory;
    MemoryView {
        id,
        seq,
        hash: hex(&hash.0),
        title: payload.title.unwrap_or_default(),
        content: payload.content,
        project,
        kind: payload.kind,
        tags: payload.tags,
        entities: Vec::new(),
        actor,
        session,
        occurred_at,
        created_at,
        validity: Validity {
            // The time is rounded to microseconds, as in the projection.
            from: Timestamp::from_microsecond(microseconds(valid_from)).unwrap_or(valid_from),
            until: None,
            invalidated_by: None,
            reason: None,
            superseded_by: None,
        },
        feedback: None,
        applied_seq: head.max(seq),
    }
}
