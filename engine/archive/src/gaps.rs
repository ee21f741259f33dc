//! Checks that every payload that is missing in restored segments is accounted for: an event of the same log must say
//! that this payload was forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use engine_core::event::{ForgottenPayload, MEMORY_FORGOTTEN};
use engine_core::format::{Body, EventLine};

use crate::forgotten::MARK;

/// The fixed text before the id at the end of a line without a payload, and its length with the id.
const BEFORE_ID: &[u8] = br#""forgotten":""#;
const END_BYTES: usize = BEFORE_ID.len() + 34;

/// Ids that lines name as the event that forgot their payloads, each with the number of the first line of which the log
/// has no such event that names this line.
pub(crate) fn unexplained(log: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut gaps = Gaps::default();
    for entry in fs::read_dir(log)? {
        let mut lines = BufReader::new(File::open(entry?.path())?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let has_no_payload =
                text.len() > END_BYTES && text[text.len() - END_BYTES..].starts_with(BEFORE_ID);
            if has_no_payload || text.windows(MARK.len()).any(|part| part == MARK) {
                gaps.note(text);
            }
            line.clear();
        }
    }
    Ok(gaps.unexplained())
}

/// What is missing, and what events say of it. There may be millions of both, so that ids are kept as numbers.
#[derive(Default)]
struct Gaps {
    /// Missing payloads: the event that a line names, the number of the line's event, and its id.
    missing: BTreeSet<(u128, u64, u128)>,
    /// The event that forgot a payload, and the number of the event whose payload it was.
    forgotten: BTreeSet<(u128, u64)>,
    /// The same with the id of the event whose payload it was. Older logs name no numbers.
    forgotten_ids: BTreeSet<(u128, u128)>,
}

impl Gaps {
    fn note(&mut self, line: &[u8]) {
        let Ok(event) = EventLine::decode(line) else { return };
        let Some(id) = number(&event.envelope.id) else { return };
        if let Body::Forgotten { by } = event.body
            && let Some(by) = number(by)
        {
            self.missing.insert((by, event.envelope.seq, id));
        }
        if event.envelope.kind != MEMORY_FORGOTTEN {
            return;
        }
        let payload = event.payload().and_then(|text| serde_json::from_str::<ForgottenPayload>(text).ok());
        let ForgottenPayload { targets, seqs, .. } = payload.unwrap_or_default();
        if seqs.len() == targets.len() {
            self.forgotten.extend(seqs.into_iter().map(|seq| (id, seq)));
        } else {
            let targets = targets.iter().filter_map(|target| number(target));
            self.forgotten_ids.extend(targets.map(|target| (id, target)));
        }
    }

    fn unexplained(self) -> BTreeMap<String, u64> {
        let Gaps { missing, forgotten, forgotten_ids } = self;
        let is_explained = |by: u128, seq: u64, id: u128| {
            forgotten.contains(&(by, seq)) || forgotten_ids.contains(&(by, id))
        };
        let mut first = BTreeMap::new();
        // In ascending order: of each event, the first line.
        for (by, seq, _) in missing.into_iter().filter(|(by, seq, id)| !is_explained(*by, *seq, *id)) {
            first.entry(format!("{by:032x}")).or_insert(seq);
        }
        first
    }
}

/// An id as a number; `None` if it is no id.
fn number(id: &str) -> Option<u128> {
    engine_core::digest::is_id(id).then(|| u128::from_str_radix(id, 16).ok()).flatten()
}
