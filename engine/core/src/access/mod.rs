//! Who may do what: scopes, callers, and the keys that callers present.
//!
//! A request presents a credential, which is checked outside of this module or by a [`KeyRing`]. The result is a
//! [`Caller`], whatever the credential was, and [`decide`] decides from the caller alone.

mod caller;
mod key;
mod ring;
mod scope;
mod table;

pub use caller::{Asked, Caller, CallerKind, Decision, Denial, Projects, decide};
pub use key::{ApiKey, KEY_CHARS, KEY_PREFIX, KEY_RANDOM_BYTES, KeyForm, is_hash, key_hash, stored_hash};
pub use ring::{KeyRecord, KeyRing, Unaccepted};
pub use scope::Scope;
pub use table::{Bound, OPERATIONS, OperationRow, table};
