//! What a detector is, and how the table of them is run over a text.

use std::fmt;
use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::{personal, secret, vendor};

/// Largest compiled form of one pattern, bytes: a bound on what somebody who adds a pattern can cost every engine.
const COMPILED_BYTES_MAX: usize = 2 << 20;
/// Largest compiled form of all triggers together, bytes.
const TRIGGERS_BYTES_MAX: usize = 4 << 20;
/// What one pattern may cache of its automaton while it searches, bytes.
const CACHE_BYTES_MAX: usize = 1 << 20;

/// A kind of personal data. What is found is replaced by [`Kind::placeholder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A postal address.
    Address,
    /// The number of a payment card.
    CreditCard,
    /// An international bank account number.
    Iban,
    /// The number of an account or a routing number, named as such.
    BankAccount,
    /// A social security number or taxpayer number of the United States.
    Ssn,
    /// A passport's number, named as such.
    Passport,
    /// A driver's licence number, named as such.
    DriverLicense,
    /// A day somebody was born, named as such.
    DateOfBirth,
    /// An address of a cryptocurrency.
    Crypto,
    /// User name and password in the address of a page or a repository.
    UrlCredentials,
    /// A name behind a title, or one that somebody introduces themselves by.
    Name,
    /// An IP address.
    Ip,
    /// The address of a page.
    Url,
}

impl Kind {
    /// Every kind.
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

    /// What takes the place of what was found.
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

    /// Name in configuration and metrics: the placeholder's, in lower case, with hyphens.
    pub fn name(self) -> String {
        self.placeholder().trim_matches(['[', ']']).to_lowercase().replace('_', "-")
    }

    /// Whether it is redacted by an engine whose configuration does not say. Not so names, which are what memories of
    /// people are about and which rules find in part only, nor addresses of machines and pages, which notes
    /// about systems are full of.
    pub const fn by_default(self) -> bool {
        !matches!(self, Kind::Name | Kind::Ip | Kind::Url)
    }
}

/// What a find means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finds {
    /// The whole write is refused.
    Secret,
    /// The find is redacted.
    Personal(Kind),
}

/// Takes the text and what a pattern found in it; gives what of it is a find, if any.
pub(super) type Check = fn(&[u8], Range<usize>) -> Option<Range<usize>>;
/// Finds by itself, with the help of a pattern.
pub(super) type Scan = fn(&[u8], &Regex) -> Vec<Range<usize>>;

/// How a detector looks.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// Each match, or its first group if it has one, that passes the check.
    Pattern(&'static str, Check),
    /// A function of its own.
    Scan(&'static str, Scan),
}

/// One row of the table: a name that stays, what it finds, and how.
#[derive(Clone, Copy)]
pub struct Detector {
    /// Stable: stands in configuration, exceptions, metrics and refusals.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// What a find means.
    pub finds: Finds,
    /// A cheap pattern without which nothing can be found; all of them are looked for in one pass.
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

/// Every detector, secrets first.
pub fn detectors() -> impl Iterator<Item = &'static Detector> {
    secret::DETECTORS.iter().chain(vendor::DETECTORS).chain(personal::DETECTORS)
}

/// Detectors ready to run.
pub(super) struct Compiled {
    triggers: RegexSet,
    detectors: Vec<(&'static Detector, Regex)>,
}

/// A detector and the part of the view it found.
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

    /// Everything that is found, in the order of the table.
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
        // What does not pass may hide another match that begins inside of it.
        // No detector takes what begins in the middle of a row of letters and digits, of which texts can be full.
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

/// Whether a byte continues a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The byte before a part.
pub(super) fn before(text: &[u8], part: &Range<usize>) -> Option<u8> {
    part.start.checked_sub(1).map(|at| text[at])
}

/// The byte behind a part.
pub(super) fn behind(text: &[u8], part: &Range<usize>) -> Option<u8> {
    text.get(part.end).copied()
}

/// Whether a part stands by itself, not inside of a longer word.
pub(super) fn stands_alone(text: &[u8], part: &Range<usize>) -> bool {
    !before(text, part).is_some_and(is_word) && !behind(text, part).is_some_and(is_word)
}

/// Takes every match that stands alone.
pub(super) fn alone(text: &[u8], found: Range<usize>) -> Option<Range<usize>> {
    stands_alone(text, &found).then_some(found)
}
