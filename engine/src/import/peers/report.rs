//! The report of an import of another product's store. It never quotes the content of a record.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine_core::peers::Refused;
use serde::Serialize;

use super::files::{Kind, Skipped, Source};
use crate::import::target_report::TargetReport;

/// Maximum number of refused records of one file that are listed. All are counted.
const REFUSED_MAX: usize = 100;
/// Maximum number of names of left-out fields that are counted separately.
const FIELDS_MAX: usize = 100;

/// The report of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether everything that was found is imported, or could be imported in the case of a dry run.
    pub(super) ok: bool,
    product: &'static str,
    dry_run: bool,
    project: String,
    /// Why the run stopped early.
    pub(super) unfinished: Option<String>,
    pub(super) target: Option<TargetReport>,
    totals: Totals,
    pub(super) files: Vec<FileReport>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    files: u64,
    records: u64,
    imported: u64,
    already_there: u64,
    redacted: u64,
    changed: u64,
    left_out: u64,
    refused: u64,
}

/// The report on one file.
#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    file: PathBuf,
    format: Kind,
    records: u64,
    /// Number of steps that the records were translated to, by kind.
    found: BTreeMap<&'static str, u64>,
    /// Number of steps that this run wrote, by kind.
    imported: BTreeMap<&'static str, u64>,
    /// Number of steps that an earlier run wrote, by kind. Steps whose result was ended or forgotten since are
    /// included.
    already_there: BTreeMap<&'static str, u64>,
    /// Number of steps whose texts the policy of the engine changed before they were written to the log.
    redacted: u64,
    /// Data that did not fit and was adapted, by kind of change.
    changed: BTreeMap<&'static str, u64>,
    /// Fields with content that have no counterpart in the engine, by name.
    left_out: BTreeMap<String, u64>,
    left_out_not_listed: u64,
    refused: Vec<RefusedRecord>,
    refused_count: u64,
}

/// A record, or a part of one, that was not imported.
#[derive(Debug, Clone, Serialize)]
struct RefusedRecord {
    /// Line, row or position in the list, from 1.
    record: u64,
    /// Kind of step; absent if the whole record was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'static str>,
    /// Stable label of the reason, or the error code of the engine.
    reason: String,
    detail: String,
}

impl Report {
    pub(super) fn new(product: &'static str, project: &str, dry_run: bool, skipped: Vec<Skipped>) -> Report {
        Report {
            ok: false,
            product,
            dry_run,
            project: project.to_owned(),
            unfinished: None,
            target: None,
            totals: Totals::default(),
            files: Vec::new(),
            skipped,
        }
    }

    pub(super) fn conclude(&mut self) {
        let sum = |counts: &BTreeMap<&'static str, u64>| counts.values().sum::<u64>();
        let mut totals = Totals { files: self.files.len() as u64, ..Totals::default() };
        for file in &self.files {
            totals.records += file.records;
            totals.imported += sum(&file.imported);
            totals.already_there += sum(&file.already_there);
            totals.redacted += file.redacted;
            totals.changed += sum(&file.changed);
            totals.left_out += file.left_out.values().sum::<u64>() + file.left_out_not_listed;
            totals.refused += file.refused_count;
        }
        self.ok = self.unfinished.is_none() && totals.refused == 0;
        self.totals = totals;
    }
}

impl FileReport {
    pub(super) fn new(source: &Source) -> FileReport {
        FileReport {
            file: source.path.clone(),
            format: source.kind,
            records: 0,
            found: BTreeMap::new(),
            imported: BTreeMap::new(),
            already_there: BTreeMap::new(),
            redacted: 0,
            changed: BTreeMap::new(),
            left_out: BTreeMap::new(),
            left_out_not_listed: 0,
            refused: Vec::new(),
            refused_count: 0,
        }
    }

    pub(super) fn record(
        &mut self,
        place: u64,
        changed: &[&'static str],
        left_out: &[String],
        refused: &[Refused],
    ) {
        self.records += 1;
        for what in changed {
            *self.changed.entry(what).or_default() += 1;
        }
        for field in left_out {
            if self.left_out.len() < FIELDS_MAX || self.left_out.contains_key(field) {
                *self.left_out.entry(field.clone()).or_default() += 1;
            } else {
                self.left_out_not_listed += 1;
            }
        }
        for why in refused {
            self.refuse(place, None, why.label().to_owned(), why.to_string());
        }
    }

    pub(super) fn found(&mut self, what: &'static str) {
        *self.found.entry(what).or_default() += 1;
    }

    pub(super) fn imported(&mut self, what: &'static str, redacted: bool) {
        *self.imported.entry(what).or_default() += 1;
        self.redacted += u64::from(redacted);
    }

    pub(super) fn already_there(&mut self, what: &'static str) {
        *self.already_there.entry(what).or_default() += 1;
    }

    pub(super) fn refuse(&mut self, record: u64, part: Option<&'static str>, reason: String, detail: String) {
        self.refused_count += 1;
        if self.refused.len() < REFUSED_MAX {
            self.refused.push(RefusedRecord { record, part, reason, detail });
        }
    }
}
