//! `access`: who may use the engine.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::access_certificate::{ACCESS_CERTIFICATES_MAX, AccessCertificate, CERTIFICATE_PARTS};
use super::access_key::{ACCESS_FILES_MAX, AccessKey, PARTS};
use super::issuer::{AccessIssuer, ISSUER_PARTS, ISSUERS_MAX, SigningAlgorithm};
use super::key::Key;
use super::limits::{RATE_MAX, Rate};
use super::reader::Reader;
use super::section::section;
use crate::access::Scope;
use crate::wire::Unknown;

/// Maximum number of keys in the configuration. Each is read from files every two seconds.
pub const ACCESS_KEYS_MAX: usize = 256;
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
        /// issuers of tokens, whose holders may use the engine: [access](access.md#tokens-of-an-issuer)
        "issuers" issuers: Vec<AccessIssuer>, or Vec::<AccessIssuer>::new(), since "0.1.0"
            => Key::structured("8, [each with](access.md#tokens-of-an-issuer) issuer and audiences")
                .absent("none").live();
        /// callers that present a client certificate: [access](access.md#certificates)
        "certificates" certificates: Vec<AccessCertificate>, or Vec::<AccessCertificate>::new(), since "0.1.0"
            => Key::structured("64, [each with](access.md#certificates) name, subject, scopes and projects")
                .absent("none").live();
        /// file with the token that the admin port demands: [access](access.md#the-admin-port)
        "adminTokenFile" admin_token_file: String, since "0.1.0"
            => Key::text().absent("the admin port demands no token").live();
        /// file with the token of engines that follow this one, which opens the lines of the log at the admin port, and
        /// the searches of a comparison: [readers](readers.md#credentials)
        "readerTokenFile" reader_token_file: String, since "0.1.0"
            => Key::text().absent("no engine may follow, unless everybody may read").live();
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
    if access.reader_token_file.as_deref() == Some("") {
        faults.push("access.readerTokenFile must be the path of a file".into());
    }
    let keys = access.keys.as_deref().unwrap_or_default();
    if keys.len() > ACCESS_KEYS_MAX {
        faults.push(format!("access.keys has {} keys; at most {ACCESS_KEYS_MAX} are possible", keys.len()));
    }
    check_issuers(access, faults);
    check_certificates(access, faults);
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

fn check_certificates(access: &Access, faults: &mut Vec<String>) {
    let certificates = access.certificates.as_deref().unwrap_or_default();
    if certificates.len() > ACCESS_CERTIFICATES_MAX {
        let count = certificates.len();
        let rule = format!(
            "access.certificates has {count} of them; at most {ACCESS_CERTIFICATES_MAX} are possible"
        );
        faults.push(rule);
    }
    let keys = access.keys.iter().flatten().map(|key| &key.name);
    let (mut names, mut subjects): (BTreeSet<_>, BTreeSet<_>) = (keys.collect(), BTreeSet::new());
    for (place, certificate) in certificates.iter().take(ACCESS_CERTIFICATES_MAX).enumerate() {
        let mut fault = |part: &str, text: &str| {
            faults.push(format!("access.certificates[{place}].{part} {text}"));
        };
        for (part, text) in certificate.faults() {
            fault(part, &text);
        }
        if !names.insert(&certificate.name) {
            fault("name", "is the name of another key or certificate too");
        }
        if !subjects.insert(certificate.subject.to_ascii_lowercase()) {
            fault("subject", "is the subject of another certificate too");
        }
    }
}

fn check_issuers(access: &Access, faults: &mut Vec<String>) {
    let issuers = access.issuers.as_deref().unwrap_or_default();
    if issuers.len() > ISSUERS_MAX {
        faults.push(format!(
            "access.issuers has {} issuers; at most {ISSUERS_MAX} are possible",
            issuers.len()
        ));
    }
    let mut known = BTreeSet::new();
    for (place, issuer) in issuers.iter().take(ISSUERS_MAX).enumerate() {
        for (part, text) in issuer.faults() {
            faults.push(format!("access.issuers[{place}].{part} {text}"));
        }
        if !known.insert(&issuer.issuer) {
            faults.push(format!("access.issuers[{place}].issuer is another issuer too"));
        }
    }
}

/// Removes what only a newer engine knows. A key with an unknown part is removed completely: dropping a part that
/// narrows it would widen the key. An unknown scope is dropped from its key, which narrows the key.
fn prepare(section: &mut Map<String, Value>, reader: &mut Reader) {
    if !reader.is_lenient() {
        return;
    }
    prepare_issuers(section, reader);
    prepare_certificates(section, reader);
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
        // A key that is left without a scope permits nothing.
        known_words(key, ("scopes", Scope::WORDS), &name, reader)
    });
}

/// An issuer with an unknown part is removed completely, as a key is. An unknown algorithm or scope only narrows it.
fn prepare_issuers(section: &mut Map<String, Value>, reader: &mut Reader) {
    let Some(Value::Array(issuers)) = section.get_mut("issuers") else { return };
    let mut place = 0_usize;
    issuers.retain_mut(|issuer| {
        let name = format!("access.issuers[{place}]");
        place += 1;
        let Some(issuer) = issuer.as_object_mut() else { return true };
        if let Some(unknown) = issuer.keys().find(|part| !ISSUER_PARTS.contains(&part.as_str())) {
            reader.report(format!("{name}.{unknown}"), Unknown::Key);
            return false;
        }
        // Without a word a part would mean its default, which is wider.
        let lists = [("scopes", Scope::WORDS), ("algorithms", SigningAlgorithm::WORDS)];
        lists.into_iter().all(|list| known_words(issuer, list, &name, reader))
    });
}

/// As keys.
fn prepare_certificates(section: &mut Map<String, Value>, reader: &mut Reader) {
    let Some(Value::Array(certificates)) = section.get_mut("certificates") else { return };
    let mut place = 0_usize;
    certificates.retain_mut(|certificate| {
        let name = format!("access.certificates[{place}]");
        place += 1;
        let Some(certificate) = certificate.as_object_mut() else { return true };
        if let Some(unknown) = certificate.keys().find(|part| !CERTIFICATE_PARTS.contains(&part.as_str())) {
            reader.report(format!("{name}.{unknown}"), Unknown::Key);
            return false;
        }
        known_words(certificate, ("scopes", Scope::WORDS), &name, reader)
    });
}

/// Removes unknown words of a list. Returns whether one is left, or the list was empty or absent before.
fn known_words(
    object: &mut Map<String, Value>,
    (part, known): (&str, &[&str]),
    name: &str,
    reader: &mut Reader,
) -> bool {
    let Some(Value::Array(words)) = object.get_mut(part) else { return true };
    let before = words.len();
    words.retain(|word| word.as_str().is_none_or(|word| known.contains(&word)));
    if words.len() < before {
        reader.report(format!("{name}.{part}"), Unknown::Value);
    }
    !words.is_empty() || before == 0
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
    fn an_issuer_that_cannot_be_read_completely_is_left_out() {
        let issuer = |more: &Value| {
            let mut issuer = json!({"issuer": "https://id.example.org", "audiences": ["memory"]});
            issuer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            issuer
        };
        let of = |more: &Value| read(&json!({"access": {"issuers": [issuer(more)]}}), Author::Operator);
        for (more, part, is_left) in [
            (json!({"requiredGroups": ["a"]}), "requiredGroups", false),
            (json!({"algorithms": ["ES256", "ES999"]}), "algorithms", true),
            // Without a word, the part would mean its default, which is wider.
            (json!({"algorithms": ["ES999"]}), "algorithms", false),
            (json!({"scopes": ["audit"]}), "scopes", false),
        ] {
            let (configuration, not_applied) = of(&more).unwrap();
            assert_eq!(configuration.access.issuers().len(), usize::from(is_left), "{more}");
            assert_eq!(not_applied[0].key, format!("access.issuers[0].{part}"));
        }
        for (word, named) in [("none", "access cannot be read"), ("HS256", "access cannot be read")] {
            let faults = person(&json!({"issuers": [issuer(&json!({"algorithms": [word]}))]})).unwrap_err();
            assert!(faults[0].starts_with(named), "{faults:?}");
        }
        let open = issuer(&json!({"audiences": []}));
        assert!(person(&json!({"issuers": [open]})).unwrap_err()[0].contains("audiences"));
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
