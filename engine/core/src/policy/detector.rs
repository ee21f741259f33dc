//! Detectors, and how all of them are run over a text.

use std::fmt;
use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::{personal, secret, vendor};

/// Largest compiled size of one pattern, bytes: limits what a new pattern can cost every engine.
const COMPILED_BYTES_MAX: usize = 2 << 20;
/// Largest compiled size of all triggers together, bytes.
const TRIGGERS_BYTES_MAX: usize = 4 << 20;
/// Cache of the lazy automaton of one pattern during a search, bytes.
const CACHE_BYTES_MAX: usize = 1 << 20;

/// A kind of personal data. Matches are replaced by [`Kind::placeholder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A postal address.
    Address,
    /// A payment card number.
    CreditCard,
    /// An international bank account number (IBAN).
    Iban,
    /// An account or routing number that is labelled as such.
    BankAccount,
    /// A social security or taxpayer number of the United States.
    Ssn,
    /// A passport number that is labelled as such.
    Passport,
    /// A driver's licence number that is labelled as such.
    DriverLicense,
    /// A date of birth that is labelled as such.
    DateOfBirth,
    /// A cryptocurrency address.
    Crypto,
    /// User name and password in a URL.
    UrlCredentials,
    /// A name after a title, or one that a person introduces themselves with.
    Name,
    /// An IP address.
    Ip,
    /// A URL.
    Url,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 15] = [
        Kind::Email,
        Kind::Phone,
        Kind::Address,
        Kind::CreditCard,
        Kind::Iban,
        Kind::BankAccount,
        Kind::Ssn,
        Kind::Passport,
        Kind::DriverLicense,
        Kind::DateOfBirth,
        Kind::Crypto,
        Kind::UrlCredentials,
        Kind::Name,
        Kind::Ip,
        Kind::Url,
    ];

    /// The text that replaces a match.
    pub const fn placeholder(self) -> &'static str {
        match self {
            Kind::Email => "[EMAIL]",
            Kind::Phone => "[PHONE]",
            Kind::Address => "[ADDRESS]",
            Kind::CreditCard => "[CREDIT_CARD]",
            Kind::Iban => "[IBAN]",
            Kind::BankAccount => "[BANK_ACCOUNT]",
            Kind::Ssn => "[SSN]",
            Kind::Passport => "[PASSPORT]",
            Kind::DriverLicense => "[DRIVER_LICENSE]",
            Kind::DateOfBirth => "[DATE_OF_BIRTH]",
            Kind::Crypto => "[CRYPTO]",
            Kind::UrlCredentials => "[URL_CREDENTIALS]",
            Kind::Name => "[NAME]",
            Kind::Ip => "[IP]",
            Kind::Url => "[URL]",
        }
    }

    /// Name in configuration and metrics: the placeholder in lower case, with hyphens.
    pub fn name(self) -> String {
        self.placeholder().trim_matches(['[', ']']).to_lowercase().replace('_', "-")
    }

    /// Whether it is redacted by default. Not redacted are names, because memories about people are about them and the
    /// detectors find only some of them, and addresses of machines and pages, because notes about systems are full of
    /// them.
    pub const fn by_default(self) -> bool {
        !matches!(self, Kind::Name | Kind::Ip | Kind::Url)
    }
}

/// Consequence of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finds {
    /// The write is refused.
    Secret,
    /// The match is redacted.
    Personal(Kind),
}

/// Takes the text and a match of the pattern; returns the part that counts, if any.
pub(super) type Check = fn(&[u8], Range<usize>) -> Option<Range<usize>>;
/// A detector implemented as a function that uses a pattern.
pub(super) type Scan = fn(&[u8], &Regex) -> Vec<Range<usize>>;

/// How a detector searches.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// Each match of the pattern, or its first capture group if it has one, that passes the check.
    Pattern(&'static str, Check),
    /// A function.
    Scan(&'static str, Scan),
}

/// One row of the table of detectors: a stable name, what it finds, and how.
#[derive(Clone, Copy)]
pub struct Detector {
    /// Stable name, used in configuration, exceptions, metrics and refusals.
    pub name: &'static str,
    /// One-line description.
    pub about: &'static str,
    /// Consequence of a match.
    pub finds: Finds,
    /// A cheap pattern that must match for the detector to run. The triggers of all detectors are searched in one pass.
    pub(super) trigger: &'static str,
    pub(super) how: How,
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector")
            .field("name", &self.name)
            .field("finds", &self.finds)
            .finish_non_exhaustive()
    }
}

/// All detectors, secrets first.
pub fn detectors() -> impl Iterator<Item = &'static Detector> {
    secret::DETECTORS.iter().chain(vendor::DETECTORS).chain(personal::DETECTORS)
}

/// Compiled detectors.
pub(super) struct Compiled {
    triggers: RegexSet,
    detectors: Vec<(&'static Detector, Regex)>,
}

/// A detector, and the range of the view it matched.
pub(super) type Found = (&'static Detector, Range<usize>);

impl Compiled {
    pub(super) fn new(chosen: impl Iterator<Item = &'static Detector>) -> Compiled {
        let detectors: Vec<_> = chosen.map(|detector| (detector, compile(detector))).collect();
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
        // A rejected match may hide another one that starts inside it, so the search continues inside. Starts in the
        // middle of a run of letters and digits are skipped: no detector accepts them, and texts can be full of them.
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

/// Whether a byte is part of a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte before a part.
pub(super) fn before(text: &[u8], part: &Range<usize>) -> Option<u8> {
    part.start.checked_sub(1).map(|at| text[at])
}

/// The byte after a part.
pub(super) fn behind(text: &[u8], part: &Range<usize>) -> Option<u8> {
    text.get(part.end).copied()
}

/// Whether a part is not inside a longer word.
pub(super) fn stands_alone(text: &[u8], part: &Range<usize>) -> bool {
    !before(text, part).is_some_and(is_word) && !behind(text, part).is_some_and(is_word)
}

/// Accepts every match that is not inside a longer word.
pub(super) fn alone(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    stands_alone(text, &found).then_some(found)
}
