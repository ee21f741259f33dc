//! Decides what may be written: a secret refuses the write, personal data is redacted before it is stored. One value,
//! [`Policy`], checks every text on every path into the log.
//!
//! Matched text never appears in a [`Blocked`], a [`Counts`] or the `Debug` output of any type here.

mod address;
mod assignment;
mod boundary;
mod checker;
mod checks;
mod command;
mod connector;
mod descriptive_keys;
mod detector;
mod detectors;
mod encoded;
mod finding;
mod identifier;
mod identifier_check;
mod output;
mod pair;
mod payload;
mod personal;
mod phone;
mod reading;
mod scripts;
mod secret;
mod settings;
#[cfg(test)]
mod tests;
mod value;
mod vendor;
mod view;

pub use checker::Policy;
pub use detector::{Detector, Finds, Kind};
pub use detectors::detectors;
pub use finding::{Blocked, Counts, Finding, Redacted};
pub use identifier::{Form, IdentifierError, Identifiers, PseudonymKey, has_token, tokens};
pub use output::{is_clean, scrubbed};
pub use settings::{Exception, PolicyFault, Settings};
