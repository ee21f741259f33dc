//! `ConfigurationApplied`: whether the engine applies all of its configuration. An engine with a pinned image may be
//! older than the operator, and a pod may have started with an earlier version of its ConfigMap.

use engine_core::{
    configuration::keys,
    wire::{ConfigurationFile, ConfigurationHealth, NotApplied, Unknown},
};
use sha2::{Digest, Sha256};

use super::{facts::Facts, outcome::Outcome};
use crate::build::{engine_config, hex};
use crate::conditions::{Reason, Truth, Verdict};

/// The verdict if another configuration than the wanted one is in force. An engine that reports no hash is older than
/// this rule; an invalid spec has no wanted configuration.
pub(super) fn outdated(facts: &Facts<'_>) -> Option<Verdict> {
    let Outcome::Applied { valid, plan, .. } = facts.outcome else { return None };
    let configuration = facts.health()?.configuration.as_ref()?;
    let in_force = configuration.sha256.as_ref()?;
    // While an update waits, the configuration before it is the wanted one.
    let kept = plan.held_update().and_then(|held| held.config_hash.clone());
    let wanted = kept.unwrap_or_else(|| hex(&Sha256::digest(engine_config(valid))));
    (*in_force != wanted).then(|| {
        let message = format!("the engine runs with an earlier configuration: {}", why(configuration));
        Verdict::new(Truth::False, Reason::ConfigurationOutdated, message)
    })
}

fn why(configuration: &ConfigurationHealth) -> String {
    match configuration.file {
        ConfigurationFile::RestartRequired => format!(
            "these keys take effect when the pod is restarted: {}. Delete the pod",
            configuration.restart_required.join(", ")
        ),
        ConfigurationFile::Invalid => {
            "its file is invalid; the log of the engine names the faults".to_owned()
        }
        ConfigurationFile::Unreadable => {
            "its file cannot be read; the log of the engine has the reason".to_owned()
        }
        // The kubelet updates the files of a ConfigMap with a delay of about a minute.
        ConfigurationFile::InForce | ConfigurationFile::None | ConfigurationFile::Unknown => {
            "its file does not have the new content yet".to_owned()
        }
    }
}

/// The verdict from the engine's report, which lists the parts of the configuration that the engine does not know.
pub(super) fn reported(facts: &Facts<'_>) -> Option<Verdict> {
    let health = facts.health()?;
    if health.not_applied.is_empty() {
        let message = "the engine applies its complete configuration";
        return Some(Verdict::new(Truth::True, Reason::ConfigurationInEffect, message));
    }
    let parts: Vec<String> = health.not_applied.iter().map(described).collect();
    Some(Verdict::new(
        Truth::False,
        Reason::EngineTooOld,
        format!(
            "the engine is version {} and does not know these parts of its configuration, which have no effect: {}. \
             Set spec.image to a version that knows them, or remove the fields",
            health.version,
            parts.join(", ")
        ),
    ))
}

/// Describes a part that the engine does not apply: its key, its field in the spec, and the first version of the engine
/// that knows it. For a part that the operator does not know either, which someone else wrote, only the key is known.
fn described(part: &NotApplied) -> String {
    let NotApplied { key: name, unknown } = part;
    let of_list = name.split('[').next().unwrap_or(name);
    let known = keys().find(|(section, key)| match unknown {
        Unknown::Section => section == name,
        Unknown::Key | Unknown::Value => of_list.strip_prefix(section) == Some(&format!(".{}", key.name)),
    });
    let field = |field: &'static str| match unknown {
        // The path of a section is the path of its key's field without the last part.
        Unknown::Section => field.rsplit_once('.').map_or(field, |(section, _)| section),
        Unknown::Key | Unknown::Value => field,
    };
    let field = known.and_then(|(_, key)| key.field).map(field);
    match (known, field, unknown) {
        (_, Some(field), Unknown::Value) => format!("{name} (a value of {field})"),
        (Some((_, key)), _, _) if of_list != name => {
            format!("{name} (inside of {})", key.field.unwrap_or(name))
        }
        (Some((_, key)), Some(field), _) => format!("{name} ({field}, known since {})", key.since),
        _ => name.clone(),
    }
}
