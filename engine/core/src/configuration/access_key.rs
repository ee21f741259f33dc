//! `access.keys`: keys of clients in files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::access::Scope;
use crate::event::LOG_PROJECT;
use crate::request;

/// Maximum number of files of a key: the current value and the previous one, which is valid during a rotation.
pub const ACCESS_FILES_MAX: usize = 2;
/// Maximum length of a key's name, in characters: that of a label in Kubernetes.
pub const ACCESS_NAME_CHARS_MAX: usize = 63;
/// Maximum number of projects that a key names. A caller of more projects is one of all projects.
pub const ACCESS_PROJECTS_MAX: usize = 64;
/// What a key names as its only project to be bound to none.
pub const EVERY_PROJECT: &str = "*";
/// A key of clients. The configuration names the files, and never contains the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// Name of the caller: lower-case letters, digits and `-`.
    pub name: String,
    /// Files with the key, or with `sha256:` and its hash. The second may be absent.
    pub files: Vec<String>,
    /// What the caller may do.
    pub scopes: Vec<Scope>,
    /// Exact names of projects, or only `*`.
    pub projects: Vec<String>,
    /// When the key expires, RFC 3339. The text is kept unchanged, so that an operator's rendered file does not change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Parts of a key in the configuration.
pub(super) const PARTS: [&str; 5] = ["name", "files", "scopes", "projects", "expires"];

impl AccessKey {
    /// When the key expires.
    ///
    /// # Errors
    /// The time is not an RFC 3339 time.
    pub fn expiry(&self) -> Result<Option<Timestamp>, jiff::Error> {
        self.expires.as_deref().map(str::parse).transpose()
    }

    /// Whether a text is the name of a caller.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        let is_known = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
        (1..=ACCESS_NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_known)
    }

    /// What is wrong with the projects of a key; none if nothing is.
    #[must_use]
    pub fn projects_fault(projects: &[String]) -> Option<String> {
        if projects.is_empty() || projects.len() > ACCESS_PROJECTS_MAX {
            return Some(format!("must be 1 to {ACCESS_PROJECTS_MAX} names of projects, or only \"*\""));
        }
        if projects.len() > 1 && projects.iter().any(|project| project == EVERY_PROJECT) {
            return Some("has \"*\" beside other projects".to_owned());
        }
        if projects.iter().any(|project| project == LOG_PROJECT) {
            return Some(format!("has {LOG_PROJECT:?}: its events concern every project"));
        }
        let mut named = projects.iter().filter(|project| *project != EVERY_PROJECT);
        named
            .find_map(|project| request::filter("name", project).err())
            .map(|fault| format!("has a wrong {fault}"))
    }
}
