//! `access`: who may use the engine.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::key::Key;
use super::limits::{RATE_MAX, Rate};
use super::reader::Reader;
use super::section::section;
use crate::access::Scope;
use crate::event::LOG_PROJECT;
use crate::request;
use crate::wire::Unknown;

/// Maximum number of keys in the configuration. Each is read from files every two seconds.
pub const ACCESS_KEYS_MAX: usize = 256;
/// Maximum number of files of a key: the current value and the previous one, which is valid during a rotation.
pub const ACCESS_FILES_MAX: usize = 2;
/// Maximum length of a key's name, in characters: that of a label in Kubernetes.
pub const ACCESS_NAME_CHARS_MAX: usize = 63;
/// Maximum number of projects that a key names. A caller of more projects is one of all projects.
pub const ACCESS_PROJECTS_MAX: usize = 64;
/// What a key names as its only project to be bound to none.
pub const EVERY_PROJECT: &str = "*";
/// Default number of failed attempts a minute: a wrong key in a loop of retries stays below it, guessing does not.
const FAILED_ATTEMPTS_DEFAULT: u32 = 30;
const FAILED_ATTEMPTS_MAX: u64 = 100_000;

section! {
    /// Who may use the engine: [access](access.md).
    "access" => Access, prepare prepare, check check {
        /// whether requests without a key are served, with every scope and every project: [access](access.md)
        "anonymous" anonymous: bool, or true, since "0.1.0" => Key::boolean().live();
        /// keys of clients, each with the files that contain it: [access](access.md#keys-in-files)
        "keys" keys: Vec<AccessKey>, or Vec::<AccessKey>::new(), since "0.1.0"
            => Key::structured("256, [each with](access.md#keys-in-files) name, files, scopes and projects")
                .absent("none").live();
        /// file with the token that the admin port demands: [access](access.md#the-admin-port)
        "adminTokenFile" admin_token_file: String, since "0.1.0"
            => Key::text().absent("the admin port demands no token").live();
        /// requests per second of one key in one project
        "requestsPerSecond" requests_per_second: u32, since "0.1.0"
            => Key::integer(1, RATE_MAX).absent("no limit").live();
        /// requests accepted at once of one key in one project after a pause; only with `requestsPerSecond`
        "burst" burst: u32, since "0.1.0" => Key::integer(1, RATE_MAX).absent("a second's worth").live();
        /// attempts with a wrong key per minute, from one address and with the id of one key
        "failedAttemptsPerMinute" failed_attempts_per_minute: u32, or FAILED_ATTEMPTS_DEFAULT, since "0.1.0"
            => Key::integer(1, FAILED_ATTEMPTS_MAX).live();
    }
}

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
const PARTS: [&str; 5] = ["name", "files", "scopes", "projects", "expires"];

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

impl Access {
    /// Rate limit of one key in one project; none when absent. The burst defaults to the requests of one second.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        Rate::of(self.requests_per_second, self.burst)
    }
}

fn check(access: &Access, faults: &mut Vec<String>) {
    if access.burst.is_some() && access.requests_per_second.is_none() {
        faults.push("access.burst needs access.requestsPerSecond".into());
    }
    if access.admin_token_file.as_deref() == Some("") {
        faults.push("access.adminTokenFile must be the path of a file".into());
    }
    let keys = access.keys.as_deref().unwrap_or_default();
    if keys.len() > ACCESS_KEYS_MAX {
        faults.push(format!("access.keys has {} keys; at most {ACCESS_KEYS_MAX} are possible", keys.len()));
    }
    let mut names = BTreeSet::new();
    for (place, key) in keys.iter().take(ACCESS_KEYS_MAX).enumerate() {
        let mut fault = |part: &str, text: &str| faults.push(format!("access.keys[{place}].{part} {text}"));
        if !AccessKey::is_name(&key.name) {
            fault("name", "must be 1 to 63 of a-z, 0-9 and -");
        } else if !names.insert(&key.name) {
            fault("name", "is the name of another key too");
        }
        if !(1..=ACCESS_FILES_MAX).contains(&key.files.len()) || key.files.iter().any(String::is_empty) {
            fault("files", "must be the paths of 1 or 2 files");
        }
        if key.scopes.is_empty() {
            fault("scopes", "must be at least one of read, write and admin");
        }
        if let Some(text) = AccessKey::projects_fault(&key.projects) {
            fault("projects", &text);
        }
        if key.expiry().is_err() {
            fault("expires", "must be a time such as 2027-01-01T00:00:00Z");
        }
    }
}

/// Removes what only a newer engine knows. A key with an unknown part is removed completely: dropping a part that
/// narrows it would widen the key. An unknown scope is dropped from its key, which narrows the key.
fn prepare(section: &mut Map<String, Value>, reader: &mut Reader) {
    if !reader.is_lenient() {
        return;
    }
    let Some(Value::Array(keys)) = section.get_mut("keys") else { return };
    let mut place = 0_usize;
    keys.retain_mut(|key| {
        let name = format!("access.keys[{place}]");
        place += 1;
        let Some(key) = key.as_object_mut() else { return true };
        if let Some(unknown) = key.keys().find(|part| !PARTS.contains(&part.as_str())) {
            reader.report(format!("{name}.{unknown}"), Unknown::Key);
            return false;
        }
        let Some(Value::Array(scopes)) = key.get_mut("scopes") else { return true };
        let before = scopes.len();
        scopes.retain(|scope| scope.as_str().is_none_or(|word| Scope::WORDS.contains(&word)));
        if scopes.len() < before {
            reader.report(format!("{name}.scopes"), Unknown::Value);
        }
        // A key that is left without a scope permits nothing.
        !scopes.is_empty() || before == 0
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::configuration::{Author, Configuration, read};

    fn person(access: &Value) -> Result<Configuration, Vec<String>> {
        read(&json!({"access": access}), Author::Person).map(|(configuration, _)| configuration)
    }

    fn key(more: &Value) -> Value {
        let mut key = json!({"name": "agent-a", "files": ["/k"], "scopes": ["read"], "projects": ["notes"]});
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    #[test]
    fn a_key_in_the_configuration_has_bounds() {
        let all = json!({"files": ["/a", "/b"], "scopes": ["read", "write", "admin"], "projects": ["*"],
            "expires": "2027-01-01T00:00:00Z"});
        let configuration =
            person(&json!({"keys": [key(&json!({})), key(&json!({"name": "b"})), key(&all)]}));
        assert_eq!(configuration.unwrap_err(), ["access.keys[2].name is the name of another key too"]);
        for (more, part) in [
            (json!({"projects": ["memory-engine"]}), "projects"),
            (json!({"name": ""}), "name"),
            (json!({"name": "Agent"}), "name"),
            (json!({"name": "a".repeat(64)}), "name"),
            (json!({"files": []}), "files"),
            (json!({"files": ["/a", "/b", "/c"]}), "files"),
            (json!({"files": [""]}), "files"),
            (json!({"scopes": []}), "scopes"),
            (json!({"projects": []}), "projects"),
            (json!({"projects": ["*", "a"]}), "projects"),
            (json!({"projects": [" "]}), "projects"),
            (json!({"projects": ["a".repeat(65)]}), "projects"),
            (json!({"expires": "tomorrow"}), "expires"),
        ] {
            let faults = person(&json!({"keys": [key(&more)]})).unwrap_err();
            assert_eq!(faults.len(), 1, "{more}: {faults:?}");
            assert!(faults[0].starts_with(&format!("access.keys[0].{part} ")), "{more}: {faults:?}");
        }
        for more in [json!({"scopes": ["all"]}), json!({"until": "x"})] {
            assert!(
                person(&json!({"keys": [key(&more)]})).unwrap_err()[0].starts_with("access cannot be read")
            );
        }
        let many: Vec<Value> =
            (0..=ACCESS_KEYS_MAX).map(|n| key(&json!({"name": format!("a{n}")}))).collect();
        assert_eq!(person(&json!({"keys": many})).unwrap_err().len(), 1);
        assert_eq!(
            person(&json!({"burst": 1})).unwrap_err(),
            ["access.burst needs access.requestsPerSecond"]
        );
    }

    #[test]
    fn the_default_is_open_and_a_key_without_its_narrowing_part_is_left_out() {
        let default = Access::default();
        assert!(default.anonymous() && default.keys().is_empty() && default.rate().is_none());
        let keys = json!([
            key(&json!({"addresses": ["10.0.0.0/8"]})),
            key(&json!({"scopes": ["read", "audit"]})),
            key(&json!({"name": "c", "scopes": ["audit"]}))
        ]);
        let (configuration, not_applied) =
            read(&json!({"access": {"keys": keys}}), Author::Operator).unwrap();
        let found: Vec<_> = not_applied.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(found, ["access.keys[0].addresses", "access.keys[1].scopes", "access.keys[2].scopes"]);
        let keys = configuration.access.keys();
        assert_eq!((keys.len(), &keys[0].scopes), (1, &vec![Scope::Read]));
    }
}
