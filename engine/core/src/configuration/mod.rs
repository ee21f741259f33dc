//! The engine's configuration: every section and key, with its type, bounds, default and documentation.
//!
//! The engine merges the file, the environment and flags with [`resolve`], and converts the result into types of its
//! own. The operator fills in the same types from a resource and writes them. There is one file for each section.
//! `docs/guide/configuration.md` contains the [`table()`] of all keys. A new key is a row of its section; "Adding a
//! configuration key" in docs/STYLE.md lists the other places.

mod access;
mod access_certificate;
mod access_key;
mod backup;
mod deployment;
mod embedding;
mod environment;
mod guard;
mod identity;
mod integrity;
mod issuer;
mod key;
mod limits;
mod logging;
mod mcp;
mod old_names;
mod policy;
mod reader;
mod rehearsal;
mod rerank;
mod retention;
mod retrieval;
mod rotation;
mod saving;
mod section;
mod service;
mod shown;
mod shutdown;
mod sources;
#[cfg(test)]
mod sources_test;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod tracing;
mod variables;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use access::{ACCESS_KEYS_MAX, Access};
pub use access_certificate::{ACCESS_CERTIFICATES_MAX, AccessCertificate};
pub use access_key::{
    ACCESS_FILES_MAX, ACCESS_NAME_CHARS_MAX, ACCESS_PROJECTS_MAX, AccessKey, EVERY_PROJECT,
};
pub use backup::Backup;
pub use deployment::{Deployment, DeploymentMode, production_faults};
pub use embedding::{Embedding, Provider};
pub use environment::{Environment, FileVariable, environment};
pub use guard::Guard;
pub use identity::Identity;
pub use integrity::Integrity;
pub use issuer::{
    AccessIssuer, CLOCK_SKEW_SECONDS_MAX, ISSUER_AUDIENCES_MAX, ISSUER_CLAIMS_MAX, ISSUER_TEXT_CHARS_MAX,
    ISSUERS_MAX, SigningAlgorithm, TOKEN_AGE_SECONDS_MAX,
};
pub use key::{Key, Kind, Reload};
pub use limits::{Limits, Rate};
pub use logging::{LogLevel, Logging};
pub use mcp::{ALLOWED_HOSTS_MAX, Mcp};
pub use old_names::old_names;
pub use policy::{Exception, Identifiers, Policy};
pub use reader::Section;
pub use reader::{Author, Reader};
pub use rehearsal::Rehearsal;
pub use rerank::Rerank;
pub use retention::Retention;
pub use retrieval::Retrieval;
pub use rotation::{Rotation, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use saving::{SameText, Saving};
pub use service::{Address, PER_MINUTE_MIN, PRICE_MAX, Service, address_fault};
pub use shown::{MASK, ShownValue, differing, explain, masked_url, shown, shown_variable};
pub use shutdown::Shutdown;
pub use sources::{Origin, Resolved, Setting, find, resolve, unknown_key};
pub use table::table;
pub use tls::Tls;
pub use tracing::{SAMPLES_MAX, Tracing};
pub use variables::{FILE_SUFFIX, VARIABLE_PREFIX, variable};

use crate::wire::NotApplied;

/// Defines the file: its sections in the order of the documentation.
macro_rules! sections {
    ($($field:ident: $type:ident),+ $(,)?) => {
        /// The file. What it does not set is absent here too; the methods of a section give the defaults.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        pub struct Configuration {
            $(
                #[doc = concat!("The section `", stringify!($field), "`.")]
                #[serde(default, skip_serializing_if = "is_unset")]
                pub $field: $type,
            )+
        }

        /// Every section with its keys.
        pub const SECTIONS: &[(&str, &[Key])] = &[$(($type::NAME, $type::KEYS)),+];

        /// Reads the file's content.
        ///
        /// # Errors
        /// Everything that is wrong with it.
        pub fn read(file: &Value, author: Author) -> Result<(Configuration, Vec<NotApplied>), Vec<String>> {
            let mut reader = Reader::new(author);
            let root = reader.root(file, &[$($type::NAME),+]);
            let configuration = Configuration { $($field: reader.section(&root)),+ };
            if reader.faults.is_empty() { Ok((configuration, reader.not_applied)) } else { Err(reader.faults) }
        }
    };
}

sections! {
    engine: Identity,
    log: Logging,
    shutdown: Shutdown,
    rotation: Rotation,
    integrity: Integrity,
    policy: Policy,
    embedding: Embedding,
    retrieval: Retrieval,
    rerank: Rerank,
    retention: Retention,
    saving: Saving,
    mcp: Mcp,
    limits: Limits,
    guard: Guard,
    tracing: Tracing,
    tls: Tls,
    access: Access,
    backup: Backup,
    rehearsal: Rehearsal,
    deployment: Deployment,
}

fn is_unset<S: Default + PartialEq>(section: &S) -> bool {
    *section == S::default()
}

/// Every key of the file with the name of its section.
pub fn keys() -> impl Iterator<Item = (&'static str, &'static Key)> {
    SECTIONS.iter().flat_map(|(section, keys)| keys.iter().map(|key| (*section, key)))
}
