//! Keys of JSON objects that describe their value.

use regex::bytes::{Regex, RegexBuilder};

/// Pattern of keys that describe their value. Values under other keys are checked without their key, which is cheaper.
pub(super) const DESCRIPTIVE_KEYS: &str = r"(?i)phone|mobile|^tel|fax|cell|ssn|social|tax|birth|dob|born|passport|licen[sc]e|iban|account|acct|routing|sort|card|pan$|address|street|zip|post|wallet|eth|pass|pwd|secret|token|key|credential|auth|name";

/// Compiles [`DESCRIPTIVE_KEYS`].
pub(super) fn descriptive_keys() -> Regex {
    RegexBuilder::new(DESCRIPTIVE_KEYS)
        .unicode(false)
        .build()
        .expect("the pattern is a constant, and every test of a policy compiles it")
}
