//! What a detector is, and what it finds.

use std::fmt;
use std::ops::Range;

use regex::bytes::Regex;

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
    /// A name after a title, or a name with which a person introduces themselves.
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

    /// Whether it is redacted by default. Names are not redacted by default, because memories are often about people
    /// and the detectors find only some names. IP addresses and URLs are not redacted by default, because notes about
    /// systems are full of them.
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

/// Checks a match of the pattern: takes the text and the range of the match, returns the range of the secret or
/// personal data in it, or None.
pub(super) type Check = fn(&[u8], Range<usize>) -> Option<Range<usize>>;
/// A detector implemented as a function: takes the text and a compiled pattern, returns the ranges of all matches.
pub(super) type Scan = fn(&[u8], &Regex) -> Vec<Range<usize>>;

/// How a detector searches.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// Each match of the pattern, or its first capture group if it has one, that passes the check.
    Pattern(&'static str, Check),
    /// The function, with the pattern that it uses.
    Scan(&'static str, Scan),
}

/// One row of the table of detectors.
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
