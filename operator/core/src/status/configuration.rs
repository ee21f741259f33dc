//! `ConfigurationApplied`: whether the engine applies all of its configuration. An engine with a pinned image may be
//! older than the operator.

use engine_core::{
    configuration::keys,
    wire::{NotApplied, Unknown},
};

use super::facts::Facts;
use crate::conditions::{ConditionType, Reason, Truth, Verdict};

/// The pod of an earlier spec, which does not show whether the present configuration is applied.
pub(super) fn of_an_old_pod(facts: &Facts<'_>) -> Option<Verdict> {
    facts.evidence.is_of_earlier_spec(facts.observed).then(|| {
        Verdict::new(
            Truth::Unknown,
            Reason::PodStarting,
            "the pod still has the previous spec and is being replaced",
        )
    })
}

/// The last verdict, if it is about this spec.
pub(super) fn not_reported(facts: &Facts<'_>) -> Option<Verdict> {
    if facts.health().is_some() {
        return None;
    }
    let generation = facts.observed.engine.metadata.generation;
    let last = facts.before(ConditionType::ConfigurationApplied);
    let last = last.filter(|last| last.observed_generation == generation).and_then(Verdict::of);
    let unknown = || Verdict::new(Truth::Unknown, Reason::EngineStarting, "the engine has not reported yet");
    Some(last.unwrap_or_else(unknown))
}

/// Whether the engine reports a part that it does not know.
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

/// Describes the part, its field, and the first version that knows it. A part that the operator does not know either
/// was written by someone else.
fn described(part: &NotApplied) -> String {
    let NotApplied { key: name, unknown } = part;
    let of_list = name.split('[').next().unwrap_or(name);
    let known = keys().find(|(section, key)| match unknown {
        Unknown::Section => section == name,
        Unknown::Key | Unknown::Value => of_list.strip_prefix(section) == Some(&format!(".{}", key.name)),
    });
    let field = |field: &'static str| match unknown {
        // The section is the parent of the key's field.
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
