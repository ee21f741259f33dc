//! Checks that every payload that is missing in restored segments is accounted for: a later event of the same log must
//! say that it was forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use engine_core::format::{Body, EventLine};

use crate::forgotten::MARK;

/// The fixed text before the id at the end of a line without a payload, and its length with the id.
const BEFORE_ID: &[u8] = br#""forgotten":""#;
const END_BYTES: usize = BEFORE_ID.len() + 34;

/// Ids that lines name as the event that forgot their payloads, each with the number of the first such line, without
/// those that the log has.
pub(crate) fn unexplained(log: &Path) -> io::Result<BTreeMap<String, u64>> {
    let (mut named, mut known) = (BTreeMap::new(), BTreeSet::new());
    for entry in fs::read_dir(log)? {
        let mut lines = BufReader::new(File::open(entry?.path())?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let has_no_payload =
                text.len() > END_BYTES && text[text.len() - END_BYTES..].starts_with(BEFORE_ID);
            if has_no_payload || text.windows(MARK.len()).any(|part| part == MARK) {
                note(text, &mut named, &mut known);
            }
            line.clear();
        }
    }
    named.retain(|by, _| !known.contains(by));
    Ok(named)
}

fn note(line: &[u8], named: &mut BTreeMap<String, u64>, known: &mut BTreeSet<String>) {
    let Ok(event) = EventLine::decode(line) else { return };
    known.insert(event.envelope.id.to_string());
    if let Body::Forgotten { by } = event.body {
        let seq = named.entry(by.to_owned()).or_insert(event.envelope.seq);
        *seq = event.envelope.seq.min(*seq);
    }
}
