//! Tokens of issuers: signed JSON (JWT, RFC 7519) that says who a caller is. These are the rules of acceptance, without
//! the signature, which the engine verifies with a library of cryptography.
//!
//! ```text
//! token      the parts of a token, before anything of it is believed
//! keys       the public keys of an issuer, and which of them a token names
//! claims     what a token with a right signature says about its caller
//! refresh    when keys are fetched again, and how long they live
//! fault      why a token is not accepted
//! ```

mod claims;
mod fault;
mod keys;
mod refresh;
mod token;

pub use claims::{Accepted, judge};
pub use fault::TokenFault;
pub use keys::{KEY_SET_BYTES_MAX, KEYS_MAX, KeySet, KeySetFault, Material, PublicKey, discovered_keys};
pub use refresh::{KEYS_LIFE_MAX, Keeping, RETRY_INTERVAL, UNKNOWN_KEY_INTERVAL, lifetime};
pub use token::{TOKEN_BYTES_MAX, Token};
