//! All detectors, and how they are run over a text.

use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::detector::{Check, Detector, How};
use super::{personal, secret, vendor};

/// Maximum compiled size of one pattern, bytes. Limits the memory that a new pattern can cost in every engine.
const COMPILED_BYTES_MAX: usize = 2 << 20;

/// Maximum compiled size of all triggers together, bytes.
const TRIGGERS_BYTES_MAX: usize = 4 << 20;

/// Maximum size of the cache for one pattern's lazy DFA during a search, bytes.
const CACHE_BYTES_MAX: usize = 1 << 20;

/// All detectors, secrets first.
pub fn detectors() -> impl Iterator<Item = &'static Detector> {
    secret::DETECTORS.iter().chain(vendor::DETECTORS).chain(personal::DETECTORS)
}

/// Compiled detectors.
pub(super) struct Compiled {
    triggers: RegexSet,
    detectors: Vec<(&'static Detector, OnceLock<Regex>)>,
}

/// A detector, and the range of its match in the text passed to [`Compiled::run`].
pub(super) type Found = (&'static Detector, Range<usize>);

impl Compiled {
    pub(super) fn new(chosen: impl Iterator<Item = &'static Detector>) -> Compiled {
        let compiled = Compiled::when_needed(chosen);
        for (detector, regex) in &compiled.detectors {
            regex.get_or_init(|| compile(detector));
        }
        compiled
    }

    /// Compiles the triggers now, and each detector when a text first triggers it. Saves memory and time where few
    /// texts do, and costs the first such text about a millisecond.
    pub(super) fn when_needed(chosen: impl Iterator<Item = &'static Detector>) -> Compiled {
        let detectors: Vec<_> = chosen.map(|detector| (detector, OnceLock::new())).collect();
        let triggers = RegexSetBuilder::new(detectors.iter().map(|(detector, _)| detector.trigger))
            .unicode(false)
            .size_limit(TRIGGERS_BYTES_MAX)
            .build()
            .expect("the triggers are constants, and a test compiles all of them");
        Compiled { triggers, detectors }
    }

    /// Calls `visit` for every match, in the order of the table.
    pub(super) fn run(&self, text: &[u8], mut visit: impl FnMut(Found)) {
        for index in &self.triggers.matches(text) {
            let (detector, regex) = &self.detectors[index];
            let regex = regex.get_or_init(|| compile(detector));
            match detector.how {
                How::Pattern(_, check) => matches(text, regex, check, |found| visit((detector, found))),
                How::Scan(_, scan) => {
                    scan(text, regex).into_iter().for_each(|found| visit((detector, found)));
                }
            }
        }
    }
}

fn compile(detector: &Detector) -> Regex {
    let (How::Pattern(pattern, _) | How::Scan(pattern, _)) = detector.how;
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(CACHE_BYTES_MAX)
        .build()
        .unwrap_or_else(|fault| {
            panic!("{}: the pattern is a constant, and a test compiles it: {fault}", detector.name)
        })
}

fn matches(text: &[u8], regex: &Regex, check: Check, mut visit: impl FnMut(Range<usize>)) {
    let grouped = regex.captures_len() > 1;
    let mut at = 0;
    while at <= text.len() {
        let Some(whole) = regex.find_at(text, at) else { return };
        let group = if grouped {
            regex.captures_at(text, whole.start()).and_then(|groups| groups.get(1))
        } else {
            None
        };
        let part = group.map_or(whole.range(), |group| group.range());
        // A rejected match may hide another one that starts inside it, so the search continues at the next byte after
        // its start. Positions in the middle of a run of letters and digits are skipped, for speed: no detector accepts
        // a match that starts there.
        let inside = |at: usize| text[at - 1].is_ascii_alphanumeric() && text[at].is_ascii_alphanumeric();
        at = whole.start() + 1;
        while at < text.len() && inside(at) {
            at += 1;
        }
        if let Some(found) = check(text, part).filter(|found| !found.is_empty()) {
            at = found.end.max(whole.start() + 1);
            visit(found);
        }
    }
}
