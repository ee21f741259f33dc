//! `deployment`: what the engine is used for.

use serde_json::{Map, Value};

use super::Configuration;
use super::key::Key;
use super::reader::Reader;
use super::section::{section, words};

section! {
    /// What the engine is used for.
    "deployment" => Deployment, prepare prepare {
        /// `production` refuses to start without TLS and without access control: [access](access.md#production)
        "mode" mode: DeploymentMode, or DeploymentMode::Development, since "0.1.0"
            => Key::one_of(DeploymentMode::WORDS);
    }
}

/// An unknown mode could be stricter than every known one, so that ignoring it would take protection away: it is a
/// fault, also in a file of a newer operator.
fn prepare(section: &mut Map<String, Value>, reader: &mut Reader) {
    let Some(word) = section.get("mode").and_then(Value::as_str) else { return };
    if reader.is_lenient() && !DeploymentMode::WORDS.contains(&word) {
        reader.faults.push("deployment.mode must be development or production".to_owned());
        section.remove("mode");
    }
}

words! {
    /// What the engine is used for.
    DeploymentMode {
        /// Everything is permitted that is configured.
        Development = "development",
        /// The engine refuses to start without TLS and without access control.
        Production = "production",
    }
}

/// What an engine in production lacks. `has_other_callers` is whether callers are known from elsewhere than the
/// configuration, such as keys that are stored on the volume. Empty in development.
#[must_use]
pub fn production_faults(configuration: &Configuration, has_other_callers: bool) -> Vec<String> {
    if configuration.deployment.mode() != DeploymentMode::Production {
        return Vec::new();
    }
    let Configuration { access, tls, .. } = configuration;
    let has_callers = has_other_callers
        || !access.keys().is_empty()
        || !access.issuers().is_empty()
        || !access.certificates().is_empty();
    let lacks = [
        (access.anonymous(), "access.anonymous must be false"),
        (tls.api_directory.is_none(), "tls.apiDirectory is missing"),
        (tls.admin_directory.is_none(), "tls.adminDirectory is missing"),
        (
            !has_callers,
            "access has no keys, issuers or certificates, and nothing else says who may use the engine",
        ),
    ];
    let named = lacks.into_iter().filter(|(is_lacking, _)| *is_lacking);
    named.map(|(_, fault)| format!("{fault} (deployment.mode is production)")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::configuration::{Author, read};

    fn faults(file: &Value, has_other_callers: bool) -> Vec<String> {
        let (configuration, _) = read(file, Author::Person).unwrap();
        production_faults(&configuration, has_other_callers)
    }

    #[test]
    fn an_unknown_mode_is_a_fault_of_every_author() {
        for author in [Author::Person, Author::Operator] {
            let found = read(&json!({"deployment": {"mode": "fortress"}}), author);
            assert_eq!(found.unwrap_err(), ["deployment.mode must be development or production"]);
        }
    }

    #[test]
    fn production_needs_tls_and_callers() {
        assert_eq!(faults(&json!({}), false), [] as [&str; 0]);
        let production = json!({"mode": "production"});
        assert_eq!(faults(&json!({"deployment": production}), false).len(), 4);
        assert_eq!(faults(&json!({"deployment": production}), true).len(), 3);
        let tls = json!({"apiDirectory": "/a", "adminDirectory": "/b"});
        let key = json!({"name": "a", "files": ["/k"], "scopes": ["read"], "projects": ["*"]});
        let access = json!({"anonymous": false, "keys": [key]});
        let whole = json!({"deployment": production, "tls": tls, "access": access});
        assert_eq!(faults(&whole, false), [] as [&str; 0]);
        let issuer = json!({"issuer": "https://id.example.org", "audiences": ["memory"]});
        let access = json!({"anonymous": false, "issuers": [issuer]});
        let whole = json!({"deployment": production, "tls": tls, "access": access});
        assert_eq!(faults(&whole, false), [] as [&str; 0], "an issuer instead of keys");
    }
}
