//! The report of an import of Zaxy's logs: what was imported, changed and refused, and what is proven.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine_core::digest::Hash;
use engine_core::zaxy::{Translated, Verified};
use serde::Serialize;

use super::imported::{Imported, Proof};
use super::source::{Skipped, SourceLog};
use super::target_report::TargetReport;

/// Maximum number of refused lines that are listed. All are counted.
const REFUSED_MAX: usize = 100;
/// Maximum number of threads that are counted by name. A file normally has one thread, but may have any number.
const THREADS_MAX: usize = 1000;
/// Why an import cannot prove that it is complete.
const COMPLETENESS: &str = "cannot be proven complete: a Zaxy log does not record where it ends, so events that are \
                            missing at its end leave no trace; compare head with the records of the source's owner";

/// The report of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether everything that was found is imported, or could be imported in the case of a dry run.
    pub(super) ok: bool,
    dry_run: bool,
    project: String,
    /// Why the run stopped early.
    pub(super) unfinished: Option<String>,
    pub(super) target: Option<TargetReport>,
    totals: Totals,
    completeness: &'static str,
    pub(super) logs: Vec<LogReport>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    logs: u64,
    bytes: u64,
    verified: u64,
    imported: u64,
    already_there: u64,
    memories: u64,
    changed: u64,
    refused: u64,
}

/// The report on one log.
#[derive(Debug, Default, Serialize)]
pub(super) struct LogReport {
    file: PathBuf,
    log: String,
    /// Hash of the log's first event, which identifies the log.
    pub(super) chain: Option<Hash>,
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) blank_lines: u64,
    /// Number of events that verify, by envelope.
    envelopes: BTreeMap<&'static str, u64>,
    /// Number of events that verify, by thread.
    threads: BTreeMap<String, u64>,
    threads_not_listed: u64,
    /// The last event that verifies.
    head: Option<SourceHead>,
    verified: u64,
    pub(super) imported: u64,
    pub(super) already_there: u64,
    /// Number of memories that were saved with the events, by this run or an earlier one.
    pub(super) memories: u64,
    /// Number of memories that the engine refused, by reason.
    pub(super) memories_refused: BTreeMap<String, u64>,
    /// Number of names that exceed the engine's limits and are kept only in the original line, by field.
    changed: BTreeMap<&'static str, u64>,
    /// Number of fields with content that no hash of Zaxy covers, by name. The fields are imported.
    unsealed_fields: BTreeMap<String, u64>,
    /// Number of payloads that only Zaxy's own keys can decrypt. The payloads are imported unchanged.
    encrypted: u64,
    /// Number of events after a gap. For these events it is not proven that no earlier event is missing.
    after_gaps: u64,
    refused: Vec<RefusedLine>,
    refused_count: u64,
    /// The part of the file from the line at which the import of this log stopped.
    pub(super) not_read: Option<NotRead>,
    /// Whether the last line of the log verifies but has no line feed.
    pub(super) unterminated: bool,
    /// Verification of the imported events, computed from the engine's log.
    proof: Option<Proof>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct SourceHead {
    seq: u64,
    hash: Hash,
}

/// A line that was not imported.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RefusedLine {
    /// Line number, from 1.
    pub(super) line: u64,
    /// Byte offset at which the line starts.
    pub(super) byte: u64,
    /// Stable label of the reason.
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct NotRead {
    /// Byte offset at which this part starts. The part includes the refused line.
    pub(super) byte: u64,
    pub(super) bytes: u64,
}

impl Report {
    pub(super) fn new(project: &str, dry_run: bool, skipped: Vec<Skipped>) -> Report {
        Report {
            ok: false,
            dry_run,
            project: project.to_owned(),
            unfinished: None,
            target: None,
            totals: Totals::default(),
            completeness: COMPLETENESS,
            logs: Vec::new(),
            skipped,
        }
    }

    /// Adds to each log the verification of its imported events.
    pub(super) fn prove(&mut self, imported: &Imported) {
        for log in &mut self.logs {
            log.proof = log.chain.and_then(|chain| imported.proof(&self.project, chain));
        }
    }

    pub(super) fn conclude(&mut self) {
        let mut totals = Totals { logs: self.logs.len() as u64, ..Totals::default() };
        for log in &self.logs {
            totals.bytes += log.bytes;
            totals.verified += log.verified;
            totals.imported += log.imported;
            totals.already_there += log.already_there;
            totals.memories += log.memories;
            totals.changed += log.changed.values().sum::<u64>();
            totals.refused += log.refused_count;
        }
        self.ok = self.unfinished.is_none() && self.logs.iter().all(LogReport::is_whole);
        self.totals = totals;
    }
}

impl LogReport {
    pub(super) fn new(source: &SourceLog) -> LogReport {
        LogReport {
            file: source.path.clone(),
            log: source.name.clone(),
            bytes: source.bytes,
            ..LogReport::default()
        }
    }

    fn is_whole(&self) -> bool {
        let proven = self.proof.as_ref().is_none_or(|proof| proof.ok);
        self.refused_count == 0 && self.memories_refused.is_empty() && proven
    }

    pub(super) fn verified(&self) -> u64 {
        self.verified
    }

    pub(super) fn count(&mut self, event: &Verified<'_>) {
        let record = &event.record;
        self.verified += 1;
        self.after_gaps += u64::from(event.after_gap);
        *self.envelopes.entry(record.envelope.label()).or_default() += 1;
        for field in &record.unsealed {
            *self.unsealed_fields.entry(field.clone()).or_default() += 1;
        }
        if self.threads.len() < THREADS_MAX || self.threads.contains_key(&record.thread) {
            *self.threads.entry(record.thread.clone()).or_default() += 1;
        } else {
            self.threads_not_listed += 1;
        }
        self.head = Some(SourceHead { seq: event.seq, hash: record.hash });
    }

    pub(super) fn translated(&mut self, event: &Translated) {
        self.encrypted += u64::from(event.encrypted);
        for field in &event.changed {
            *self.changed.entry(field).or_default() += 1;
        }
    }

    pub(super) fn refuse(&mut self, line: RefusedLine) {
        self.refused_count += 1;
        if self.refused.len() < REFUSED_MAX {
            self.refused.push(line);
        }
    }
}
