//! What an import says about itself: what was kept, changed, refused, and what it can prove.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine_core::digest::Hash;
use engine_core::zaxy::{Translated, Verified};
use serde::Serialize;

use super::imported::{Imported, Proof};
use super::source::{Skipped, SourceLog};
use super::target_report::TargetReport;

/// Refused lines that are listed one by one; more are counted.
const REFUSED_MAX: usize = 100;
/// Threads that are counted by name; one file has one as a rule, but nothing holds it to that.
const THREADS_MAX: usize = 1000;
/// Why no import can say that it has everything.
const COMPLETENESS: &str = "cannot be proven complete: a Zaxy log does not say where it ends, so that events missing \
                            from its end leave no trace; compare head with what the source's owner knows";

/// The report of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Everything that was found is imported (or, in a dry run, could be).
    pub(super) ok: bool,
    dry_run: bool,
    project: String,
    /// Why the run ended before its end.
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
    /// Hash of its first event: what makes it that log.
    pub(super) chain: Option<Hash>,
    pub(super) bytes: u64,
    pub(super) lines: u64,
    pub(super) blank_lines: u64,
    /// Events that verify, by envelope.
    envelopes: BTreeMap<&'static str, u64>,
    /// The same by thread.
    threads: BTreeMap<String, u64>,
    threads_not_listed: u64,
    /// The last event that verifies.
    head: Option<SourceHead>,
    verified: u64,
    pub(super) imported: u64,
    pub(super) already_there: u64,
    /// Memories that were saved beside the events, or had been.
    pub(super) memories: u64,
    /// Memories the engine did not take, by its reason.
    pub(super) memories_refused: BTreeMap<String, u64>,
    /// Names that do not fit and stand in the original line alone, by field.
    changed: BTreeMap<&'static str, u64>,
    /// Fields that say something and that no hash of Zaxy covers, by name; kept.
    unsealed_fields: BTreeMap<String, u64>,
    /// Payloads that only Zaxy's own keys can decrypt; kept as they are.
    encrypted: u64,
    /// Lines of which it is not proven that nothing is missing before them.
    after_gaps: u64,
    refused: Vec<RefusedLine>,
    refused_count: u64,
    /// What stands behind the line that ended this log's import.
    pub(super) not_read: Option<NotRead>,
    /// The log's last line has no line feed, and verifies.
    pub(super) unterminated: bool,
    /// What the engine's log has of it, computed again from there.
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
    /// From 1.
    pub(super) line: u64,
    /// Where it starts.
    pub(super) byte: u64,
    /// Stable label.
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct NotRead {
    /// Where it starts: the refused line is part of it.
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

    /// Sets beside each log what the target has of it.
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
