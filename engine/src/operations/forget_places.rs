//! The report on every place where content of a forgotten memory could remain.

use engine_core::wire::{Place, PlaceReport, PlaceState};
use engine_log::{ErasedFiles, TraceSearchResult};
use engine_projection::Selected;

/// What was found when the places were checked.
pub(super) struct ErasureFacts<'a> {
    /// Files that the keeper thread rewrote; `None` until it has finished.
    pub(super) files: Option<&'a ErasedFiles>,
    /// Number of rows of the forgotten events that are still in the projection.
    pub(super) rows_left: u64,
    /// Result of searching the log's files for the beginnings of the texts.
    pub(super) log: TraceSearchResult,
    /// Result of searching the projection's files.
    pub(super) database: TraceSearchResult,
    /// Number of other memories that begin with the same text.
    pub(super) others: u64,
    /// Whether the payloads are removed from all files of the log.
    pub(super) taken_out: bool,
    /// Whether files were searched for the texts.
    pub(super) is_searched: bool,
    /// Whether the freed pages of the projection no longer contain the texts.
    pub(super) is_erased: bool,
}

impl ErasureFacts<'_> {
    /// Returns one report for each place that the engine can check.
    pub(super) fn places(&self, selected: &Selected) -> Vec<PlaceReport> {
        let rows = if self.rows_left == 0 { PlaceState::Gone } else { PlaceState::Pending };
        vec![
            self.segments(),
            report(
                Place::TornBytes,
                self.state(self.taken_out, 0),
                self.files.map_or(0, |files| files.torn) as u64,
                "all of log/torn was removed, because its contents are unknown",
            ),
            PlaceReport {
                place: Place::Rows,
                state: rows,
                changed: (selected.memories.len() + selected.dependents.len()) as u64,
                found: Some(self.rows_left),
                check: "rows of these events in every table".into(),
            },
            PlaceReport {
                place: Place::FullText,
                state: rows,
                changed: selected.memories.len() as u64,
                found: Some(self.rows_left),
                check: "documents of the index; if more than a few memories were forgotten, their words stay in it, hidden, until a new projection replaces it, which database_files reports".into(),
            },
            PlaceReport {
                place: Place::DatabaseFiles,
                state: self.state(self.is_erased, self.database.found as u64),
                changed: 0,
                found: Some(self.database.found as u64),
                check: format!(
                    "deleted cells and pages overwritten, write-ahead log emptied; {}{}",
                    self.describe_search(&self.database),
                    self.same_text()
                ),
            },
        ]
    }

    fn segments(&self) -> PlaceReport {
        let segments = self.files.map_or(&[][..], |files| &files.segments);
        let rewritten = segments.iter().filter(|segment| segment.rewritten).count();
        let events: usize = segments.iter().map(|segment| segment.events).sum();
        let names: Vec<&str> = segments.iter().map(|segment| segment.file.as_str()).collect();
        let written = format!(
            "{events} events in {}; each file was read back: chain and seals are unchanged, no payload of these events is left",
            list(&names)
        );
        PlaceReport {
            place: Place::LogSegments,
            state: self.state(self.taken_out, self.log.found as u64),
            changed: rewritten as u64,
            found: Some(self.log.found as u64),
            check: format!("{written}; {}{}", self.describe_search(&self.log), self.same_text()),
        }
    }

    /// The state of a place. Traces that other memories with the same text explain do not make an erasure incomplete.
    fn state(&self, done: bool, found: u64) -> PlaceState {
        match done {
            false => PlaceState::Pending,
            true if found > 0 && self.others == 0 => PlaceState::Found,
            true => PlaceState::Gone,
        }
    }

    fn describe_search(&self, searched: &TraceSearchResult) -> String {
        if self.is_searched {
            describe_search(searched)
        } else {
            "not searched for the texts, because the caller may not know what other projects have".into()
        }
    }

    fn same_text(&self) -> String {
        match self.others {
            0 => String::new(),
            others => format!("; {others} other memories begin with the same text"),
        }
    }
}

pub(super) fn report(place: Place, state: PlaceState, changed: u64, check: &str) -> PlaceReport {
    PlaceReport { place, state, changed, found: None, check: check.into() }
}

fn describe_search(searched: &TraceSearchResult) -> String {
    match (searched.files, searched.cut) {
        (0, false) => "no text was long enough to be searched for".into(),
        (files, false) => {
            format!("{files} files of {} bytes were searched for the beginnings of the texts", searched.bytes)
        }
        (files, true) => format!(
            "{files} files of {} bytes were searched for the beginnings of the texts, the rest exceeds what one request may read",
            searched.bytes
        ),
    }
}

fn list(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    match names.len() {
        0 => "no segment".into(),
        count if count > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
        _ => names.join(", "),
    }
}
