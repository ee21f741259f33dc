//! What a log has forgotten, as far as its events say so.

use std::collections::BTreeMap;

use engine_core::archive::name::PieceName;
use engine_core::event::{ForgottenPayload, MEMORY_FORGOTTEN};
use engine_core::format::EventLine;
use engine_log::LogReader;

use crate::archive_error::ArchiveError;

/// Bytes of the log that are searched at a time.
const PAGE_BYTES: usize = 4 << 20;
/// How an event of this type is recognised without decoding all others.
pub(crate) const MARK: &[u8] = br#""type":"memory.forgotten""#;

/// Events whose payloads are forgotten: number, and id of the event that records it.
pub(crate) type Targets = BTreeMap<u64, String>;

/// The rows of a table that are to be removed.
pub(crate) fn rows(name: &PieceName, targets: &Targets) -> Vec<(usize, String)> {
    let row = |(seq, by): (&u64, &String)| Some((usize::try_from(seq - name.first_seq).ok()?, by.clone()));
    targets.range(name.first_seq..=name.last_seq).filter_map(row).collect()
}

/// Which rows of the table of a piece are to be removed because of what the log has forgotten up to event `through`.
pub(crate) fn forgotten_rows(
    log: &LogReader,
    name: &PieceName,
    through: u64,
) -> Result<Vec<(usize, String)>, ArchiveError> {
    // What forgets an event comes after it.
    let (targets, _) = forgotten(log, name.first_seq, through)?;
    Ok(rows(name, &targets))
}

/// What the events after `after` up to `through` forget, and the last event that was looked at.
pub(crate) fn forgotten(log: &LogReader, after: u64, through: u64) -> Result<(Targets, u64), ArchiveError> {
    let (mut targets, mut unplaced, mut seq) = (Targets::new(), BTreeMap::new(), after);
    let head = log.published().head_seq().min(through);
    while seq < head {
        let events = usize::try_from(head - seq).unwrap_or(usize::MAX);
        let lines = log.lines_after(seq, events, PAGE_BYTES)?;
        if lines.is_empty() {
            break;
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            seq += 1;
            if line.windows(MARK.len()).any(|part| part == MARK) {
                collect(line, &mut targets, &mut unplaced);
            }
        }
    }
    if !unplaced.is_empty() {
        place(log, &unplaced, head, &mut targets)?;
    }
    Ok((targets, seq))
}

/// Adds the targets of one event. Older logs name no numbers: those ids are `unplaced`.
pub(crate) fn collect(line: &[u8], targets: &mut Targets, unplaced: &mut BTreeMap<String, String>) {
    let Some(event) = EventLine::decode(line).ok().filter(|event| event.envelope.kind == MEMORY_FORGOTTEN)
    else {
        return;
    };
    let payload = event.payload().and_then(|text| serde_json::from_str::<ForgottenPayload>(text).ok());
    let ForgottenPayload { targets: ids, seqs, .. } = payload.unwrap_or_default();
    let by = event.envelope.id.to_string();
    if seqs.len() == ids.len() {
        targets.extend(seqs.into_iter().map(|seq| (seq, by.clone())));
    } else {
        unplaced.extend(ids.into_iter().map(|id| (id, by.clone())));
    }
}

/// Finds the numbers of events by their ids.
fn place(
    log: &LogReader,
    unplaced: &BTreeMap<String, String>,
    head: u64,
    targets: &mut Targets,
) -> Result<(), ArchiveError> {
    let mut seq = 0;
    while seq < head {
        let lines = log.lines_after(seq, usize::MAX, PAGE_BYTES)?;
        if lines.is_empty() {
            break;
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            seq += 1;
            let Ok(event) = EventLine::decode(line) else { continue };
            if let Some(by) = unplaced.get(event.envelope.id.as_ref()) {
                targets.insert(event.envelope.seq, by.clone());
            }
        }
    }
    Ok(())
}
