//! Black-box tests of the log format: fixtures, every prefix, every flipped bit, tampering of every class, and
//! verifiers in another language.
#![expect(clippy::unwrap_used, reason = "a failing unwrap fails the test, which is what it is for")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests may do what pure code may not"
)]

mod archive;
mod fixtures;
mod flips;
mod log;
mod segments;
mod single;
mod speed;
mod tampering;
mod vectors;
mod verifier;
