//! `memory-engine verify` and `rebuild`: for people and for jobs, with exit codes and JSON.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use engine_core::format::segment_file_name;
use engine_core::recovery::{self, Verdict};
use serde::Serialize;

use crate::log::segment_path;

/// What `verify` prints. `ok` decides the exit code.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Everything that was ever acknowledged verifies, as far as the log alone can tell.
    pub(crate) ok: bool,
    /// Whole events that verify.
    events: u64,
    log_id: Option<String>,
    /// Last event that verifies and its hash.
    head_seq: u64,
    head_hash: Option<String>,
    /// Bytes of an unfinished write at the end. No damage: the next start sets them aside; a running engine may be
    /// writing them now.
    torn_bytes: u64,
    first_broken_seq: Option<u64>,
    /// Stable label of the damage.
    reason: Option<&'static str>,
    /// The same for a person.
    detail: Option<String>,
    segment: Option<String>,
    /// Line in the segment, from 1.
    line: Option<u64>,
    /// Where that line starts in the segment.
    byte: Option<u64>,
}

/// Reads the whole log and judges it; changes nothing and takes no lock.
pub(crate) fn verify(data: &Path) -> io::Result<Report> {
    let file = File::open(segment_path(&data.join("log")))?;
    let scan = recovery::scan(BufReader::with_capacity(1 << 18, file), |_| {})?;
    let mut report = Report {
        ok: true,
        events: scan.events,
        log_id: scan.header.map(|(header, _)| header.log_id),
        head_seq: scan.head.map_or(0, |head| head.seq),
        head_hash: scan.head.map(|head| head.hash.to_string()),
        torn_bytes: 0,
        first_broken_seq: None,
        reason: None,
        detail: None,
        segment: None,
        line: None,
        byte: None,
    };
    match scan.verdict {
        Verdict::Clean => {}
        Verdict::TornTail { torn_bytes, .. } => report.torn_bytes = torn_bytes,
        Verdict::Corrupt(breach) => {
            report.ok = false;
            report.first_broken_seq = Some(breach.seq);
            report.reason = Some(breach.reason.label());
            report.detail = Some(breach.reason.to_string());
            report.segment = Some(segment_file_name(1));
            report.line = Some(breach.line);
            report.byte = Some(breach.byte);
        }
    }
    Ok(report)
}
